"""`agent_9_windows`: the asset of five-minute windows.

What belongs here: the asset's definition, and which windows a run of it is for. What doesn't: making them
true and marking them (`synchronise.py`).

A range of partitions is one run (`BackfillPolicy.single_run()`). It marks partitions one by one, as they
are committed, and has no output: an output would mark the whole range at the end, and a run that dies
half-way would leave nothing marked.
"""

from collections.abc import Iterator

import dagster as dg

from wolkvox_assets.assets.keep_fresh import Meanwhile
from wolkvox_assets.assets.partitions import window_partitions, windows_key
from wolkvox_assets.assets.synchronise import make_windows_true
from wolkvox_assets.assets.tables import AGENT_9_WINDOWS, table_name
from wolkvox_assets.resources import wolkvox_key
from wolkvox_assets.settings import Operation, Settings

_DESCRIPTION = """\
How often and how long each agent had customers on hold or muted, for each five minutes.

**Grain**: one row in `agent_9_windows` for an operation, a window and an agent who used hold or mute; one
row in `agent_9_window_log` for each known window, with rows or without. A window without rows in the first
and with one in the second is a window in which nobody used hold or mute; without both it is not known yet.

**Backfill**: any range is one run, which commits and marks windows as it goes; stopped or failed, repeat it.
A range that is known already is verified, and repaired where it differs, with one request a month if nothing does.

**Freshness**: the schedule `{name}_live_schedule` asks the windows that have just closed, the sensor `{name}_gaps` all
others of the history, newest first.

**Time**: `window_start` is the operation's wall clock ({timezone}).
"""


class WindowsConfig(dg.Config):
    """`direct`: ask every window by a request of its own, also where asking for longer ranges would do."""

    direct: bool = False


def build_agent_9_windows(
    operation: Operation, settings: Settings, *, pool: str, sharers: tuple[Operation, ...]
) -> dg.AssetsDefinition:
    """The asset `<operation>/agent_9_windows`. `pool`: the queue of everything that uses the same token, and
    `sharers`: the operations in it, this one too."""

    @dg.asset(
        key=windows_key(operation),
        partitions_def=window_partitions(operation),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=pool,
        output_required=False,
        required_resource_keys={"store", *(wolkvox_key(sharer) for sharer in sharers)},
        group_name=operation.name,
        kinds={"duckdb", "wolkvox"},
        code_version="2",
        description=_DESCRIPTION.format(name=operation.name, timezone=operation.timezone),
        metadata={
            "dagster/table_name": table_name(settings, operation, "agent_9_windows"),
            "dagster/column_schema": AGENT_9_WINDOWS,
        },
    )
    def agent_9_windows(
        context: dg.AssetExecutionContext, config: WindowsConfig
    ) -> Iterator[dg.Output[None]]:
        span = context.partition_time_window
        windows = operation.clock.passes(span.start, span.end)
        meanwhile = Meanwhile(context, settings, sharers, operation, windows)
        make_windows_true(
            context,
            operation,
            windows,
            direct=config.direct,
            between=meanwhile.serve,
            live=meanwhile.live(operation),
        )
        yield from ()

    return agent_9_windows
