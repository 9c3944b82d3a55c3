"""Every five minutes, for all operations: the windows that have just closed, what is due to be verified, recent gaps.

What belongs here: the job, its schedule, and telling Dagster what a tick did. What doesn't: what is done in a tick
(`pipeline/tick.py`).

One run for all operations: starting a process takes a second of CPU and 110 MB before it does anything. The schedule
needs no catch-up: each tick looks for all that is due, so a missed one is made up by the next.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import ceil

import dagster as dg

from wolkvox_assets.day_report.drawing import Reports
from wolkvox_assets.orchestration.checks import log_checks
from wolkvox_assets.orchestration.instance import internals as dagster_internals
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.resources import wolkvox_key
from wolkvox_assets.orchestration.run.failures import as_failure
from wolkvox_assets.orchestration.run.marks import Marks
from wolkvox_assets.orchestration.run.over_range import failure_of, finish
from wolkvox_assets.orchestration.run.tags import WORK
from wolkvox_assets.pipeline.commit import Batch
from wolkvox_assets.pipeline.progress import Progress
from wolkvox_assets.pipeline.reconcile import Site
from wolkvox_assets.pipeline.tick import Tick, seconds_left
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.attempts import Work

LIVE = "live"
LIVE_SCHEDULE = f"{LIVE}_schedule"
_TAGS = {WORK: str(Work.LIVE)}
_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]


def build_live(
    location: CodeLocation,
) -> tuple[dg.JobDefinition, dg.ScheduleDefinition, dg.ResourceDefinition]:
    """The job `live`, its schedule, and the resource `tick` of its ops."""
    settings = location.settings
    ops = [_build_op(location, operation) for operation in settings.operations]

    # The next tick is the retry; a run retry beside it would make two.
    @dg.job(
        name=LIVE,
        tags={**_TAGS, "dagster/max_retries": "0", "dagster/priority": "10"},
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
        description="Every five minutes, shortly after the windows have closed.",
    )
    def live_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        # One that is under way ends about now, and the next one follows it. A second in the queue is one too many.
        # By their tag: another code location of the instance may have a job of this name.
        ours = dg.RunsFilter(tags=_TAGS, statuses=_WAITING)
        waiting = context.instance.get_runs(filters=ours, limit=1)
        if waiting:
            return dg.SkipReason(f"run {waiting[0].run_id} of this job has not started yet")
        return dg.RunRequest()

    return live, live_schedule, _tick_resource(location)


@dataclass
class _Share:
    """What a tick has of one operation. `stored`: by its commits."""

    site: Site
    reports: Reports
    marks: Marks
    stored: list[Batch] = field(default_factory=list)

    @property
    def touched(self) -> set[date]:
        return {day for batch in self.stored for day in batch.touched()}


@dataclass(frozen=True)
class _LiveRun:
    """The tick of this run, and each operation's share of it (by `Operation.label`)."""

    tick: Tick
    shares: Mapping[str, _Share]

    def follow(self, context: dg.OpExecutionContext, operation: Operation) -> None:
        """Until all is done for this operation; says what became of it. Raises `dg.Failure` where something could not
        be done.
        """
        progress = Progress(context.log, operation)
        try:
            for batch in self._stored(context, operation.label):
                progress.tell(batch)
        except StoreError as error:
            raise as_failure(error, operation.name, Work.LIVE) from error
        own, outcome = self.shares[operation.label], self.tick.outcomes[operation.label]
        if outcome.waits is not None:
            context.log.info(outcome.waits)
        if outcome.stopped is not None:
            progress.stopped(own.site, outcome.stopped)
        if own.stored:
            finish(context, own.site, progress)
        failures = []
        for failed in outcome.failed:
            failures.append(failure_of(context, own.site, failed.work, failed.error))
            if failed.work is Work.LIVE:
                own.marks.failed(context, sorted(set(failed.windows) - progress.windows))
        if failures:
            raise failures[0] from outcome.failed[0].error

    def _stored(self, context: dg.OpExecutionContext, operation: str) -> Iterator[Batch]:
        """What is stored of this operation; what of any is stored meanwhile is marked."""
        yield from self.shares[operation].stored
        for stored in self.tick.commits(operation):
            marks = [mark for name, batch in stored.items() for mark in self.shares[name].marks.of(batch)]
            dagster_internals.log_together(context, marks)
            for name, batch in stored.items():
                self.shares[name].stored.append(batch)
            if operation in stored:
                yield stored[operation]


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
        run.follow(context, operation)

    return live_op


def _tick_resource(location: CodeLocation) -> dg.ResourceDefinition:
    settings = location.settings

    @dg.resource(
        required_resource_keys={"store", *map(wolkvox_key, settings.operations)},
        description="The tick of a live run: one for all of its ops, whose requests overlap.",
    )
    def tick(context: dg.InitResourceContext) -> Iterator[_LiveRun]:
        run, instance, log = context.run, context.instance, context.log
        assert run is not None  # noqa: S101  # a resource of a run
        assert instance is not None  # noqa: S101
        assert log is not None  # noqa: S101
        groups: dict[str, list[Site]] = {}
        shares: dict[str, _Share] = {}
        for operation in settings.operations:
            # A run can be for some of the ops only: one that is started again from its failures.
            if run.step_keys_to_execute is None or _op_name(operation) in run.step_keys_to_execute:
                site = location.site(operation, context.resources, run.run_id)
                reports = Reports(site.store, operation, site.now, log)
                groups.setdefault(location.pool(operation), []).append(site)
                shares[operation.label] = _Share(site, reports, Marks(operation, reports, instance, run))
        until = time.monotonic() + seconds_left(location.now(), settings.live_delay)
        tick = Tick(list(groups.values()), settings.live_delay, until)
        try:
            yield _LiveRun(tick, shares)
        finally:
            tick.close()
        # When all else is done: windows never wait for a check or a page.
        if touched := {share.site.operation: share.touched for share in shares.values() if share.stored}:
            log_checks(context, location.settings.store, touched, location.now())
        for share in shares.values():
            share.reports.pages(until=until)

    return tick
