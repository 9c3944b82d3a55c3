"""The daily totals: `agent_hold_mute_daily` and `operation_hold_mute_daily`.

What belongs here: which days a run is for, and telling on how many windows a day's totals rest. What
doesn't: the SQL (`store/`).

Both are built from the windows alone, never from each other, so that either can be rebuilt by itself. Whatever
changes windows rebuilds the totals of their days in the same commit (`loading.py`); here those days are marked.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from wolkvox_assets.assets.failures import failures_explained
from wolkvox_assets.assets.partitions import day_partitions
from wolkvox_assets.assets.tables import AGENT_HOLD_MUTE_DAILY, OPERATION_HOLD_MUTE_DAILY, table_name
from wolkvox_assets.resources import StoreResource
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store import sources
from wolkvox_assets.store.daily import (
    NOTHING_EVER,
    Glance,
    days_at_a_glance,
    rebuild_agent_days,
    rebuild_operation_days,
)

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


def build_daily_assets(operation: Operation, settings: Settings) -> list[dg.AssetsDefinition]:
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
            "dagster/table_name": table_name(settings, operation, "agent_hold_mute_daily"),
            "dagster/column_schema": AGENT_HOLD_MUTE_DAILY,
        },
    )
    def agent_hold_mute_daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        days = _days(context)
        files: StoreResource = context.resources.store
        with failures_explained(context, operation.name), files.store.transaction() as con:
            sources.check(con, operation.name, operation.source)
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
            "dagster/table_name": table_name(settings, operation, "operation_hold_mute_daily"),
            "dagster/column_schema": OPERATION_HOLD_MUTE_DAILY,
        },
    )
    def operation_hold_mute_daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        days = _days(context)
        expected = _windows_expected(operation, days)
        files: StoreResource = context.resources.store
        with failures_explained(context, operation.name), files.store.transaction() as con:
            sources.check(con, operation.name, operation.source)
            rows = rebuild_operation_days(con, operation.name, expected, datetime.now(UTC))
            glances = days_at_a_glance(con, operation.name, days[0], days[-1]).values()
        complete = sum(day.complete for day in glances)
        known = sum(day.windows_known for day in glances)
        if days and known and known == sum(expected.values()) and not complete:
            context.log.warning(f"operation {operation.name}: {NOTHING_EVER.format(windows=known)}")
        elif complete < len(days):
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


def mark_days(context: Context, operation: Operation, days: Mapping[date, Glance]) -> None:
    """Mark both totals of these days, which were rebuilt with their windows, as materialised."""
    for day, glance in sorted(days.items()):
        if day < operation.start:
            continue  # `start` was moved: such a day has no partition, and its totals are right all the same
        for asset, rows in (("agent_hold_mute_daily", glance.agents), ("operation_hold_mute_daily", 1)):
            context.log_event(
                dg.AssetMaterialization(
                    asset_key=[operation.name, asset],
                    partition=f"{day}",
                    metadata={**glance._asdict(), _rows_key([day]): rows},
                )
            )


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
