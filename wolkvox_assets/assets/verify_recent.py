"""`verify_recent`: the job that makes the last three days true again, for records that came late.

What belongs here: which windows that is. What doesn't: verifying and repairing (`synchronise.py`, `sync/`).
By itself it is hardly needed: `keep_fresh.py` verifies each day when it has closed, and again.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets.assets.keep_fresh import Meanwhile
from wolkvox_assets.assets.synchronise import make_windows_true
from wolkvox_assets.duties import RECENT_DAYS
from wolkvox_assets.resources import wolkvox_key
from wolkvox_assets.settings import Operation, Settings

VERIFY_RECENT = "verify_recent"


def build_verify_recent(
    settings: Settings, pools: dict[str, str], sharers: dict[str, tuple[Operation, ...]]
) -> dg.JobDefinition:
    """The job `verify_recent`: one op for each operation, so that one's failure leaves the others alone."""

    def build_op(operation: Operation) -> dg.OpDefinition:
        @dg.op(
            name=f"{VERIFY_RECENT}_{operation.name}",
            pool=pools[operation.name],
            required_resource_keys={"store", *(wolkvox_key(o) for o in sharers[operation.name])},
            description=f"Makes the last {RECENT_DAYS} days of {operation.name} equal to the API's answers.",
        )
        def verify_recent_op(context: dg.OpExecutionContext) -> None:
            today = operation.clock.now(datetime.now(UTC)).date()
            days = [today - timedelta(days=n) for n in range(RECENT_DAYS, 0, -1)]
            windows = [
                window
                for day in days
                if day >= operation.start
                for window in operation.clock.windows_of_day(day)
            ]
            meanwhile = Meanwhile(context, settings, sharers[operation.name], operation, windows)
            corrections = make_windows_true(
                context, operation, windows, between=meanwhile.serve, live=meanwhile.live(operation)
            )
            context.log.info(
                f"{operation.name}: {len(corrections)} numbers of the {len(windows)} windows were corrected"
            )

        return verify_recent_op

    ops = [build_op(operation) for operation in settings.operations]

    @dg.job(name=VERIFY_RECENT, description=f"Makes the last {RECENT_DAYS} days of every operation true.")
    def verify_recent() -> None:
        for op in ops:
            op()

    return verify_recent
