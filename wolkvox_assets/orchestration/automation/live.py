"""Every five minutes, for all operations: the windows that have just closed, what is due to be verified, recent gaps.

What belongs here: the job `live`, its schedule, and telling Dagster what a tick did. What doesn't: what is done in a
tick (`pipeline/tick.py`).

One run for all operations: starting a process takes a second of CPU and 110 MB before it does anything. The schedule
needs no catch-up: each tick looks for all that is due, so a missed one is made up by the next.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from math import ceil

import dagster as dg

from wolkvox_assets.orchestration.checks import log_checks
from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.orchestration.instance import internals as dagster_internals
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.resources import wolkvox_key
from wolkvox_assets.orchestration.run.failures import as_failure
from wolkvox_assets.orchestration.run.marks import Marks
from wolkvox_assets.orchestration.run.over_range import failure_of, finish, goes_on_at
from wolkvox_assets.orchestration.run.reports import Reports
from wolkvox_assets.orchestration.run.tags import WORK
from wolkvox_assets.pipeline.commit import Batch
from wolkvox_assets.pipeline.progress import Progress
from wolkvox_assets.pipeline.reconcile import Site
from wolkvox_assets.pipeline.tick import Tick, next_tick
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.attempts import Work

LIVE = "live"
LIVE_SCHEDULE = f"{LIVE}_schedule"
LIVE_TAGS = {WORK: str(Work.LIVE)}
# The next tick is for windows that have just closed: it should not have to wait for a request of this one.
_ENDS_BEFORE = timedelta(seconds=15)
_WAITING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
]


def build_live(
    location: CodeLocation,
) -> tuple[dg.JobDefinition, dg.ScheduleDefinition, dg.ResourceDefinition]:
    """The job `live`, its schedule, and the resource `tick` of its ops."""
    settings = location.settings
    ops = [_build_op(location, operation) for operation in settings.operations]

    # The next tick is the retry; a run retry beside it would make two.
    @dg.job(
        name=LIVE,
        tags={**LIVE_TAGS, "dagster/max_retries": "0", "dagster/priority": "10"},
        description="What is due now of every operation: windows that have just closed, verification, recent gaps.",
    )
    def live() -> None:
        for op in ops:
            op()

    @dg.schedule(
        name=LIVE_SCHEDULE,
        job=live,
        cron_schedule=f"{ceil(settings.live_delay.total_seconds() / 60)}-59/5 * * * *",
        execution_timezone="UTC",
        default_status=location.schedules_are,
        description="Each five minutes, once the windows that closed have had a moment.",
    )
    def live_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        # One that is under way ends about now, and the next one follows it. A second in the queue is one too many.
        # By its tag: another code location of the instance may have a job of this name.
        ours = dg.RunsFilter(job_name=LIVE, tags=LIVE_TAGS, statuses=_WAITING)
        waiting = context.instance.get_runs(filters=ours, limit=1)
        if waiting:
            return dg.SkipReason(f"run {waiting[0].run_id} of this job has not started yet")
        return dg.RunRequest()

    return live, live_schedule, _tick_resource(location)


class _LiveRun:
    """The tick of this run, and what its commits stored of each operation (by `Operation.label`)."""

    def __init__(self, tick: Tick, sites: Sequence[Site], log: dg.DagsterLogManager) -> None:
        self._tick = tick
        self.sites = {site.operation.label: site for site in sites}
        self.reports = {
            name: Reports(site.store, site.operation, site.now, log) for name, site in self.sites.items()
        }
        self.stored: dict[str, list[Batch]] = defaultdict(list)

    def follow(self, context: dg.OpExecutionContext, operation: str) -> Progress:
        """Until all is done for this operation; marks what was stored meanwhile, of any operation."""
        marks = {name: self._marks(context, name) for name in self.sites}
        progress = Progress(context.log, self.sites[operation].operation)
        for batch in self.stored[operation]:
            progress.tell(batch)
        for stored in self._tick.commits(operation):
            together = [mark for name, batch in stored.items() for mark in marks[name].of(batch)]
            dagster_internals.log_together(context, together)
            for name, batch in stored.items():
                self.stored[name].append(batch)
            if operation in stored:
                progress.tell(stored[operation])
        return progress

    def _marks(self, context: dg.OpExecutionContext, operation: str) -> Marks:
        return Marks(context, self.sites[operation].operation, self.reports[operation])

    def tell(self, context: dg.OpExecutionContext, operation: str, progress: Progress) -> None:
        """What became of this operation. Raises `dg.Failure` where something could not be done."""
        site, outcome = self.sites[operation], self._tick.outcomes[operation]
        if outcome.waits is not None:
            context.log.info(outcome.waits)
        if outcome.stopped is not None:
            progress.stopped(outcome.stopped, goes_on_at(site, outcome.stopped))
        if self.stored[operation]:
            finish(context, site, progress)
        failures = [failure_of(context, site, failed.work, failed.error) for failed in outcome.failed]
        for failed in outcome.failed:
            if failed.work is Work.LIVE:
                self._marks(context, operation).failed(sorted(set(failed.windows) - progress.windows))
        for failure, failed in zip(failures, outcome.failed, strict=True):
            raise failure from failed.error

    def touched(self) -> dict[Operation, set[date]]:
        """Of each operation of which something was stored, the days."""
        return {
            self.sites[name].operation: {d for batch in batches for d in batch.touched()}
            for name, batches in self.stored.items()
            if batches
        }


def _op_name(operation: Operation) -> str:
    return f"{operation.label}_live"


def _build_op(location: CodeLocation, operation: Operation) -> dg.OpDefinition:
    @dg.op(
        name=_op_name(operation),
        pool=f"{location.pool(operation)}_live",
        required_resource_keys={"tick"},
        description=f"What is due now of {operation.label}.",
    )
    def live_op(context: dg.OpExecutionContext) -> None:
        run: _LiveRun = context.resources.tick
        try:
            progress = run.follow(context, operation.label)
        except StoreError as error:
            raise as_failure(error, operation.name, Work.LIVE) from error
        run.tell(context, operation.label, progress)

    return live_op


def _tick_resource(location: CodeLocation) -> dg.ResourceDefinition:
    settings = location.settings

    @dg.resource(
        required_resource_keys={"store", *map(wolkvox_key, settings.operations)},
        description="The tick of a live run: one for all of its ops, whose requests overlap.",
    )
    def tick(context: dg.InitResourceContext) -> Iterator[_LiveRun]:
        run, instance = context.run, context.instance
        assert run is not None  # noqa: S101  # a resource of a run
        assert instance is not None  # noqa: S101
        dead_runs.show_alive(instance, run.run_id)
        groups: dict[str, list[Site]] = {}
        for operation in settings.operations:
            # A run can be for some of the ops only: one that is started again from its failures.
            if run.step_keys_to_execute is None or _op_name(operation) in run.step_keys_to_execute:
                site = location.site(operation, context.resources, run.run_id)
                groups.setdefault(location.pool(operation), []).append(site)
        now = location.now()
        left = next_tick(now, settings.live_delay) - now - _ENDS_BEFORE
        until = time.monotonic() + left.total_seconds()
        tick = Tick(list(groups.values()), settings.live_delay, until)
        assert context.log is not None  # noqa: S101
        live_run = _LiveRun(tick, [site for group in groups.values() for site in group], context.log)
        try:
            yield live_run
        finally:
            tick.close()
        # When all else is done: windows never wait for a check or a page.
        if touched := live_run.touched():
            log_checks(context, location.store, touched, location.now())
        for reports in live_run.reports.values():
            reports.pages(until=until)

    return tick
