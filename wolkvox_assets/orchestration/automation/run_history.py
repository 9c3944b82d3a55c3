"""Once a day: what ticks of long ago have logged is deleted.

A tick leaves 10 KB of log, and there are 105,120 of them in a year. Their runs stay in the list, and so do their marks:
`delete_run` would take both, and the windows would show as missing.
"""

import dagster as dg

from wolkvox_assets.orchestration.instance import internals as dagster_internals
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.run.tags import WORK
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.store.attempts import Work

PRUNE = "prune_run_history"
# By tags: another code location of the instance may have jobs of such names, whose logs are not ours to delete.
_PRUNED = {WORK: [str(Work.LIVE), PRUNE]}


def build_run_history(location: CodeLocation) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job `prune_run_history` and its schedule."""
    settings = location.settings

    @dg.op
    def delete_old_logs(context: dg.OpExecutionContext) -> None:
        before = location.now() - settings.run_history
        pruned = dagster_internals.delete_logs(context.instance, before, _PRUNED)
        context.log.info(
            f"Deleted: the logs of {counted(pruned, 'tick')} that ended before {before:%Y-%m-%d %H:%M} UTC."
        )

    @dg.job(
        name=PRUNE,
        tags={WORK: PRUNE},
        description=f"Deletes the logs of ticks that are older than {counted(settings.run_history.days, 'day')} "
        "(WOLKVOX_RUN_HISTORY_DAYS). Their runs and marks stay.",
    )
    def prune_run_history() -> None:
        delete_old_logs()

    return prune_run_history, location.schedule(PRUNE, "23 3 * * *", "Each night.")
