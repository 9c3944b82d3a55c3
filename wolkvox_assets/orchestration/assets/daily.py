"""The daily totals of a report, by agent and by operation.

Both are built from the windows alone, never from each other, so that either can be rebuilt by itself. Whatever
changes windows rebuilds the totals of their days in the same commit (`pipeline/commit.py`); here those days are marked.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg

from wolkvox_assets.checks import READY_AFTER
from wolkvox_assets.day_report.drawing import Reports
from wolkvox_assets.orchestration.assets.catalogue import of_operation, table_metadata
from wolkvox_assets.orchestration.checks import log_checks
from wolkvox_assets.orchestration.instance import internals as dagster_internals
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.partitions import day_partitions, windows_key
from wolkvox_assets.orchestration.run.failures import as_failure
from wolkvox_assets.orchestration.run.marks import marks_of_days
from wolkvox_assets.pipeline.commit import rebuild
from wolkvox_assets.pipeline.due_work import SETTLED_AFTER
from wolkvox_assets.pipeline.progress import what_is_missing
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store, StoreError

_AGENT_DESCRIPTION = """\
Each agent's day: {about}, and in how many windows.

**Grain**: an operation, a day of its wall clock, an agent who {did}. **Don't** add up
`active_windows` over agents: two agents can be active in one window.
"""

_OPERATION_DESCRIPTION = """\
The operation's day, and how much of it is known: `windows_known` of `windows_expected`, `complete`.

**Grain**: an operation and a known day of its wall clock, also a day without any use. **Don't** add up
`agents` over days: the same agent works on many.
"""

_BY_ITSELF = """
**Source**: `{windows}`, whose numbers these are: don't add them to those.

**By itself**: whatever changes windows rebuilds the totals of their days in the same commit, and marks them here; an
automation of its own would have nothing to do.

**Backfill**: any days, rebuilt from the windows without a request. Where windows are missing or wrong, materialise
`{windows}`: the totals follow.
"""


def build_daily_assets(location: CodeLocation, operation: Operation) -> list[dg.AssetsDefinition]:
    """The assets of its days, by agent and by operation, such as `<operation>/agent_hold_mute_daily`."""
    report = operation.report
    of_agents = _AGENT_DESCRIPTION.format(about=report.days, did=report.did)
    return [
        _build(location, operation, report.names.agent_days, of_agents),
        _build(location, operation, report.names.operation_days, _OPERATION_DESCRIPTION),
    ]


def _build(location: CodeLocation, operation: Operation, table: str, description: str) -> dg.AssetsDefinition:
    # A mark between the close of yesterday and the hour at which it is to be verified, each day.
    fresh = dg.FreshnessPolicy.cron(
        deadline_cron=f"0 {READY_AFTER // timedelta(hours=1)} * * *",
        lower_bound_delta=READY_AFTER - SETTLED_AFTER,
        timezone=operation.timezone,
    )

    @dg.asset(
        key=dg.AssetKey([operation.name, table]),
        deps=[windows_key(operation)],
        partitions_def=day_partitions(operation),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        required_resource_keys={"store"},
        kinds={"duckdb", "sql"},
        code_version="1",
        description=description + _BY_ITSELF.format(windows=operation.report.names.windows),
        metadata=table_metadata(location.settings, operation, table),
        freshness_policy=fresh if location.settings.automation else None,
        **of_operation(operation),
    )
    def daily_totals(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        days = [date.fromisoformat(key) for key in context.partition_keys]
        store: Store = context.resources.store.store
        try:
            statuses, counted = rebuild(store, operation, days, location.now())
        except StoreError as error:
            raise as_failure(error, operation.name) from error
        reports = Reports(store, operation, location.now, context.log)
        marks = marks_of_days(operation, statuses, counted, reports, [table])
        dagster_internals.log_together(context, list(marks))
        reports.pages(only=days)
        if missing := what_is_missing(operation, statuses):
            context.log.warning(missing)
        log_checks(context, store, {operation: days}, location.now(), [table])
        yield from ()

    return daily_totals
