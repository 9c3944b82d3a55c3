"""Once a day: what ticks of long ago have logged is deleted.

What belongs here: the job `prune_run_history`, its schedule, and which runs' logs go. What doesn't: Dagster's own
retention of schedule and sensor ticks (`dagster.yaml`).

A tick leaves 10 KB of log, and there are 105,120 of them in a year. Their runs stay in the list, and so do their marks:
`delete_run` would take both, and the windows would show as missing.
"""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from wolkvox_assets.orchestration.automation.live import LIVE, LIVE_TAGS
from wolkvox_assets.orchestration.instance import internals as dagster_internals
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.run.tags import WORK

PRUNE = "prune_run_history"
# Another code location of the instance may have a job of such a name, whose logs are not ours to delete.
_PRUNED = {LIVE: LIVE_TAGS, PRUNE: {WORK: PRUNE}}
_AT_A_TIME = 1000


def build_run_history(location: CodeLocation) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job `prune_run_history` and its schedule."""
    settings = location.settings

    @dg.op
    def delete_old_logs(context: dg.OpExecutionContext) -> None:
        before = location.now() - settings.run_history
        old = list(_old(context.instance, before))
        pruned = sum(dagster_internals.delete_log(context.instance, run_id) for run_id in old)
        dagster_internals.delete_evaluations(context.instance, old)
        context.log.info(
            f"The logs of {pruned} ticks that ended before {before:%Y-%m-%d %H:%M} UTC are deleted."
        )

    @dg.job(
        name=PRUNE,
        tags=_PRUNED[PRUNE],
        description=f"Deletes what ticks have logged {settings.run_history.days} days ago and earlier "
        "(WOLKVOX_RUN_HISTORY_DAYS). Their runs and marks stay.",
    )
    def prune_run_history() -> None:
        delete_old_logs()

    schedule = dg.ScheduleDefinition(
        name=f"{PRUNE}_schedule",
        job=prune_run_history,
        cron_schedule="23 3 * * *",
        execution_timezone="UTC",
        default_status=location.schedules_are,
        description="Each night.",
    )
    return prune_run_history, schedule


def _old(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    """The ids of ticks that ended before, and whose logs are still there: the end of a run is part of its log."""
    ends = [
        dg.RunStatusChangeRecordsFilter(end, before_timestamp=before.timestamp())
        for end in (
            dg.DagsterEventType.RUN_SUCCESS,
            dg.DagsterEventType.RUN_FAILURE,
            dg.DagsterEventType.RUN_CANCELED,
        )
    ]
    for filters in ends:
        cursor, more = None, True
        while more:
            page = instance.fetch_run_status_changes(filters, _AT_A_TIME, cursor, ascending=True)
            cursor, more = page.cursor, page.has_more
            for record in page.records:
                run = instance.get_run_by_id(record.event_log_entry.run_id)
                if run is not None and _is_pruned(run):
                    yield run.run_id


def _is_pruned(run: dg.DagsterRun) -> bool:
    return run.job_name in _PRUNED and run.tags.items() >= _PRUNED[run.job_name].items()
