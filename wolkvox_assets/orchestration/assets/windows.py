"""The asset of a report's five-minute windows.

A range of partitions is one run (`BackfillPolicy.single_run()`). It marks partitions one by one, as they
are committed, and has no output: an output would mark the whole range at the end, and a run that dies
half-way would leave nothing marked. The sensor starts runs without a partition, whose ranges stand in the run
config: Dagster then plans no event for each of thousands of partitions.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import dagster as dg
import pydantic

from wolkvox_assets.orchestration.assets.catalogue import api_key, of_operation, table_metadata
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.partitions import window_partitions, windows_key
from wolkvox_assets.orchestration.resources import wolkvox_key
from wolkvox_assets.orchestration.run.failures import REPORTED
from wolkvox_assets.orchestration.run.over_range import run_over
from wolkvox_assets.orchestration.run.tags import WORK
from wolkvox_assets.report.windows import Range
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.attempts import Work

_DESCRIPTION = """\
{about}, for each five minutes.

**Source**: the report `{api}` of Wolkvox's API, requested for single windows and for longer ranges.

**Grain**: one row in `{windows}` for an operation, a window and an agent who {did}; one
row in `{window_log}` for each known window, with rows or without. A window without rows in the first
and with one in the second is a window in which nobody {did}; without both it is not known yet.
**Don't** add up `agents` of the log: the same agent is in many windows. Nor these rows and the daily tables: they are
the same numbers.

**Backfill**: any range is one run, which commits and marks windows as it goes; stopped or failed, repeat it.
A range that is known already is verified, and repaired where it differs, with one request a month if nothing does.

**Freshness**: the schedule `live_schedule` requests the windows that have just closed, and the gaps of the last days,
of every operation; the sensor `{label}_gaps` all others of the history, newest first.

**Time**: `window_start` is the operation's wall clock ({timezone}).
"""


class WindowsConfig(dg.Config):
    """`direct`: ask every window by a request of its own, also where asking for longer ranges would do.

    `ranges`: for a run without a partition, pairs of wall-clock times, `[start, end)`, such as
    `["2026-11-16T08:00", "2026-11-16T09:00"]`.
    """

    direct: bool = False
    ranges: list[list[str]] = pydantic.Field(default=[])


def build_windows(location: CodeLocation, operation: Operation) -> dg.AssetsDefinition:
    """The asset of the operation's windows, such as `<operation>/agent_9_windows`."""

    report = operation.report
    description = _DESCRIPTION.format(
        about=report.windows,
        windows=report.names.windows,
        window_log=report.names.window_log,
        api=report.api,
        did=report.did,
        label=operation.label,
        timezone=operation.timezone,
    )

    # A mark every five minutes. Dagster looks at the newest mark of an asset, whatever partition it is of: a run that
    # loads history keeps all three assets fresh while nothing new comes in. That is for the checks
    # `newest_window_is_recent` and `closed_days_are_whole` to tell; freshness tells that nothing runs.
    fresh = dg.FreshnessPolicy.time_window(fail_window=operation.stale_after, warn_window=operation.old_after)

    @dg.asset(
        key=windows_key(operation),
        deps=[api_key(operation)],
        partitions_def=window_partitions(operation),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=location.pool(operation),
        output_required=False,
        required_resource_keys={"store", wolkvox_key(operation)},
        kinds={"duckdb", "wolkvox"},
        code_version="2",
        description=description,
        metadata=table_metadata(location.settings, operation, report.names.windows),
        freshness_policy=fresh if location.settings.automation else None,
        **of_operation(operation),
    )
    def windows(context: dg.AssetExecutionContext, config: WindowsConfig) -> Iterator[dg.Output[None]]:
        run_over(
            context,
            location.site(operation, context.resources, context.run.run_id),
            _windows(context, operation, config.ranges),
            Work.HISTORY if context.run.tags.get(WORK) == Work.HISTORY else Work.RANGE,
            direct=config.direct,
        )
        yield from ()

    return windows


def _windows(
    context: dg.AssetExecutionContext, operation: Operation, ranges: Sequence[Sequence[str]]
) -> list[datetime]:
    if context.has_partition_key or context.has_partition_key_range:
        span = context.partition_time_window
        return operation.clock.passes(span.start, span.end)
    if not ranges:
        raise dg.Failure(
            f"operation {operation.name}: the run was started without a partition and without `ranges` in its config, "
            "so there is nothing to request. Choose partitions, or set ranges.",
            metadata=REPORTED,
            allow_retries=False,
        )
    asked = (Range(*map(datetime.fromisoformat, pair)) for pair in ranges)
    return [window for r in asked for window in r.windows() if operation.clock.shows(window)]
