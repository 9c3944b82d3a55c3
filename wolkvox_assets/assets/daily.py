"""The daily totals: `agent_hold_mute_daily` and `operation_hold_mute_daily`.

What belongs here: which days a run is for, and telling on how many windows a day's totals rest. What
doesn't: the SQL (`store/`).

Both are built from the windows alone, never from each other, so that either can be rebuilt by itself. Runs
that change windows rebuild the totals of those days themselves (`refresh_outdated_days`).
"""

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg

from wolkvox_assets.assets.failures import failures_explained
from wolkvox_assets.assets.partitions import day_partitions
from wolkvox_assets.assets.tables import AGENT_HOLD_MUTE_DAILY, OPERATION_HOLD_MUTE_DAILY
from wolkvox_assets.resources import StoreResource
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.daily import days_at_a_glance, rebuild_agent_days, rebuild_operation_days
from wolkvox_assets.store.gaps import outdated_days

Context = dg.AssetExecutionContext | dg.OpExecutionContext

_AGENT_DESCRIPTION = """\
Each agent's day: how often and how long hold and mute were used, and in how many windows.

**Grain**: an operation, a day of its wall clock, an agent who used hold or mute. **Don't** add up
`active_windows` over agents: two agents can be active in one window.
"""

_OPERATION_DESCRIPTION = """\
The operation's day, and how much of it is known: `windows_known` of `windows_expected`, `complete`.

**Grain**: an operation and a known day of its wall clock, also a day without any use. **Don't** add up
`agents` over days: the same agent works on many.
"""


def build_daily_assets(operation: Operation) -> list[dg.AssetsDefinition]:
    """The assets `<operation>/agent_hold_mute_daily` and `<operation>/operation_hold_mute_daily`."""
    windows = dg.AssetKey([operation.name, "agent_9_windows"])

    @dg.asset(
        key=dg.AssetKey([operation.name, "agent_hold_mute_daily"]),
        deps=[windows],
        partitions_def=day_partitions(operation),
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"store"},
        group_name=operation.name,
        kinds={"duckdb", "sql"},
        code_version="1",
        description=_AGENT_DESCRIPTION,
        metadata={
            "dagster/table_name": "agent_hold_mute_daily",
            "dagster/column_schema": AGENT_HOLD_MUTE_DAILY,
        },
    )
    def agent_hold_mute_daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        days = _days(context)
        files: StoreResource = context.resources.store
        with failures_explained(context, operation.name), files.store.transaction() as con:
            rows = rebuild_agent_days(con, operation.name, days[0], days[-1])
        return dg.MaterializeResult(metadata={_rows_key(days): rows, "days": len(days)})

    @dg.asset(
        key=dg.AssetKey([operation.name, "operation_hold_mute_daily"]),
        deps=[windows],
        partitions_def=day_partitions(operation),
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"store"},
        group_name=operation.name,
        kinds={"duckdb", "sql"},
        code_version="1",
        description=_OPERATION_DESCRIPTION,
        metadata={
            "dagster/table_name": "operation_hold_mute_daily",
            "dagster/column_schema": OPERATION_HOLD_MUTE_DAILY,
        },
    )
    def operation_hold_mute_daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        days = _days(context)
        expected = _windows_expected(operation, days)
        files: StoreResource = context.resources.store
        with failures_explained(context, operation.name), files.store.transaction() as con:
            rows = rebuild_operation_days(con, operation.name, expected)
            glances = days_at_a_glance(con, operation.name, days[0], days[-1]).values()
        complete = sum(day.complete for day in glances)
        known = sum(day.windows_known for day in glances)
        if complete < len(days):
            context.log.warning(
                f"{len(days) - complete} of {len(days)} days from {days[0]} to {days[-1]} are not complete: "
                f"{known} of {sum(expected.values())} windows are known. Materialise "
                f"{operation.name}/agent_9_windows for the rest; totals follow by themselves."
            )
        return dg.MaterializeResult(
            metadata={
                _rows_key(days): rows,
                "complete_days": complete,
                "windows_known": known,
                "windows_expected": sum(expected.values()),
                "hold_mute_count": sum(day.hold_mute_count for day in glances),
                "hold_seconds": sum(day.hold_seconds for day in glances),
                "mute_seconds": sum(day.mute_seconds for day in glances),
            }
        )

    return [agent_hold_mute_daily, operation_hold_mute_daily]


def refresh_outdated_days(context: Context, operation: Operation, *, tag: bool = True) -> None:
    """Rebuild both totals of every day that its windows have moved away from, and mark those days.

    Each run that changed windows ends with it, so totals never wait for a run of their own, and what a
    killed run left undone is done by the next one. `tag`: see `failures_explained`. Raises `dg.Failure`.
    """
    files: StoreResource = context.resources.store
    with failures_explained(context, operation.name, tag=tag), files.store.reading() as con:
        outdated = outdated_days(con, operation.name) if con else []
    # A day before the history's first has no partition: `start` was moved, and its totals stay as they are.
    for days in _runs_of([day for day in outdated if day >= operation.start]):
        with failures_explained(context, operation.name, tag=tag), files.store.transaction() as con:
            # Published together: nobody sees the one without the other.
            rebuild_agent_days(con, operation.name, days[0], days[-1])
            rebuild_operation_days(con, operation.name, _windows_expected(operation, days))
            glances = days_at_a_glance(con, operation.name, days[0], days[-1])
        for day in days:
            glance = glances.get(day)
            metadata = glance._asdict() if glance else {}
            for asset, rows in (
                ("agent_hold_mute_daily", glance.agents if glance else 0),
                ("operation_hold_mute_daily", 1 if glance else 0),
            ):
                context.log_event(
                    dg.AssetMaterialization(
                        asset_key=[operation.name, asset],
                        partition=f"{day}",
                        metadata={**metadata, _rows_key([day]): rows},
                    )
                )


def _runs_of(days: Sequence[date]) -> list[list[date]]:
    """The days in stretches without holes, and of a month at most: a commit a month."""
    runs: list[list[date]] = []
    for day in days:
        if runs and len(runs[-1]) < 31 and (day - runs[-1][-1]).days == 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def _windows_expected(operation: Operation, days: Sequence[date]) -> dict[date, int]:
    return {day: len(operation.clock.windows_of_day(day)) for day in days}


def _rows_key(days: Sequence[date]) -> str:
    """Dagster's own key is for one partition: of a range it would show the sum for each of its days."""
    return "dagster/partition_row_count" if len(days) == 1 else "rows"


def _days(context: dg.AssetExecutionContext) -> list[date]:
    """The days of this run, in order. A day's window ends at the next midnight, so the last is left out."""
    span = context.partition_time_window
    first, after = span.start.date(), span.end.date()
    return [first + timedelta(days=n) for n in range((after - first).days)]
