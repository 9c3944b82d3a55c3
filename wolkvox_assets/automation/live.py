"""Every five minutes: the windows that have just closed, hours that settled, days that closed.

What belongs here: the job and its schedule. What doesn't: what the run does (`assets/keep_fresh.py`).

The schedule needs no catch-up: each run looks for all that is due, so a missed tick is made up by the next.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import ceil

import dagster as dg

from wolkvox_assets.assets.keep_fresh import keep_fresh
from wolkvox_assets.assets.live_schedule import live_job_name, live_schedule_name
from wolkvox_assets.assets.run_tags import OPERATION
from wolkvox_assets.automation.runs import (
    ACCESS,
    access,
    pause,
    serving_run,
    under_way,
)
from wolkvox_assets.quota import quota_group
from wolkvox_assets.resources import wolkvox_key
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store import Store


def build_live(
    operation: Operation, settings: Settings, pool: str, sharers: tuple[Operation, ...]
) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job `<operation>_live` and its schedule. `sharers`: the operations with the same token."""
    store = Store(settings.data_dir)

    @dg.op(
        name=f"{operation.name}_keep_fresh",
        pool=pool,
        required_resource_keys={"store", wolkvox_key(operation)},
        description="Asks new windows, verifies hours that settled and days that closed, rebuilds totals.",
    )
    def keep_fresh_op(context: dg.OpExecutionContext) -> None:
        live = len(quota_group(operation, settings.operations))
        keep_fresh(context, operation, settings.live_delay, live=live)

    # The next tick is the retry; a run retry beside it would make two.
    @dg.job(
        name=live_job_name(operation.name),
        tags={OPERATION: operation.name, "dagster/max_retries": "0", "dagster/priority": "10"},
        description=f"Keeps the windows and totals of {operation.name} fresh: what is due now.",
    )
    def live() -> None:
        keep_fresh_op()

    @dg.schedule(
        name=live_schedule_name(operation),
        job=live,
        cron_schedule=f"{ceil(settings.live_delay.total_seconds() / 60)}-59/5 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING
        if settings.automation
        else dg.DefaultScheduleStatus.STOPPED,
        description="Each five minutes, once the windows that closed have had a moment.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = datetime.now(UTC)
        for run in under_way(context.instance, operation):
            if run.job_name == live_job_name(operation.name):
                yield dg.SkipReason(f"run {run.run_id} of this job has not ended yet")
                return
        serving = serving_run(context.instance, sharers, operation, now)
        if serving is not None:
            yield dg.SkipReason(f"run {serving} has the token, and does what is due meanwhile")
            return
        reason = pause(context.instance, store, operation, live_job_name(operation.name), now)
        if reason is not None:
            yield dg.SkipReason(reason)
            return
        yield dg.RunRequest(tags={ACCESS: access(operation, store)})

    return live, schedule
