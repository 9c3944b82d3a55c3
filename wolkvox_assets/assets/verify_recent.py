"""`verify_recent`: the job that makes the last three days true again, for records that came late.

What belongs here: which windows that is, and rebuilding the totals of days that changed. What doesn't:
verifying and repairing (`agent_9_windows.py`, `sync/`).
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets.assets.agent_9_windows import keys_by_window, make_windows_true
from wolkvox_assets.assets.daily import refresh_days
from wolkvox_assets.assets.partitions import window_partitions
from wolkvox_assets.resources import wolkvox_key
from wolkvox_assets.settings import Operation

RECENT_DAYS = 3
"""How many whole days before today are verified. Vendors' servers close records late [F]."""


def build_verify_recent(operations: tuple[Operation, ...], pools: dict[str, str]) -> dg.JobDefinition:
    """The job `verify_recent`: one op for each operation, so that one's failure leaves the others alone."""

    def build_op(operation: Operation) -> dg.OpDefinition:
        @dg.op(
            name=f"verify_recent_{operation.name}",
            pool=pools[operation.name],
            required_resource_keys={wolkvox_key(operation), "store"},
            description=f"Makes the last {RECENT_DAYS} days of {operation.name} equal to the API's answers.",
        )
        def verify_recent_op(context: dg.OpExecutionContext) -> None:
            today = operation.clock.now(datetime.now(UTC)).date()
            days = [today - timedelta(days=n) for n in range(RECENT_DAYS, 0, -1)]
            days = [day for day in days if day >= operation.start]
            if not days:
                context.log.info(f"{operation.name} has no whole day of history yet: nothing to verify.")
                return
            start = operation.clock.start_utc(operation.clock.windows_of_day(days[0])[0])
            end = operation.clock.end_utc(operation.clock.windows_of_day(days[-1])[-1])
            keys = window_partitions(operation).get_partition_keys_in_time_window(dg.TimeWindow(start, end))
            corrections = make_windows_true(context, operation, keys_by_window(operation, start, end, keys))
            refresh_days(context, operation, days)
            context.log.info(
                f"{operation.name}: {len(corrections)} numbers of the days from {days[0]} to {days[-1]} were corrected"
            )

        return verify_recent_op

    ops = [build_op(operation) for operation in operations]

    @dg.job(name="verify_recent", description=f"Makes the last {RECENT_DAYS} days of every operation true.")
    def verify_recent() -> None:
        for op in ops:
            op()

    return verify_recent
