"""The executor: Dagster's in-process one, after making sure that no dead run keeps its place in the pool.

What belongs here: telling living runs from dead ones, and waiting for a pool. What doesn't: what a run does.

Dagster frees the slots of killed runs that its daemon launched (`run_monitoring` in dagster.yaml). A run
that was started on the command line and killed stays STARTED and keeps its slot for ever: every later
run of that token would wait behind it. So each run holds a lock on a file of its own for as long as its
process lives, which the operating system lets go whatever happens, and each run looks at the others'.
"""

import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._utils.interrupts import check_captured_interrupt  # what Dagster's own executors ask
from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig

# Its value names the run as well: Dagster copies tags to the run that takes a failed one's place.
_HOST_TAG = "wolkvox/host"
_ABANDONED_AFTER = timedelta(minutes=10)
_UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_LOOK_AGAIN_SECONDS = 2.0
_KEPT_SECONDS = 86_400.0
_HELD: list[FileLock] = []  # by this process


class _OneAtATime(dg.Executor):
    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> "RetryMode":
        return self._inner.retries

    @property
    def step_dependency_config(self) -> "StepDependencyConfig":
        return self._inner.step_dependency_config

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        instance, run_id = plan_context.instance, plan_context.run_id
        _show_alive(instance, run_id)
        end_dead_runs(instance)
        pools = {step.pool for step in execution_plan.steps if step.pool}
        with ExitStack() as turn, _event_log_held_open(instance, run_id):
            _wait_for_pools(plan_context, pools, turn)
            for event in self._inner.execute(plan_context, execution_plan):
                if event.event_type is dg.DagsterEventType.STEP_START:
                    turn.close()  # the place in the pool is claimed
                yield event


@contextmanager
def _event_log_held_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Holds an idle connection to each SQLite file that an event is written to.

    Dagster connects anew for each event, and whoever closes SQLite's last connection has to write its log
    into the file: marking a partition took 18 ms, and 12 ms with a connection held. Other storages: nothing.
    """
    storage = instance.event_log_storage
    with ExitStack() as held:
        if isinstance(storage, SqliteEventLogStorage):
            for shard in ("index", run_id):
                file = Path(storage.path_for_shard(shard))
                if file.exists():
                    connection = held.enter_context(closing(sqlite3.connect(file)))
                    connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        yield


def _create(context: dg.InitExecutorContext) -> dg.Executor:
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None  # noqa: S101  # every executor that Dagster ships has one
    return _OneAtATime(create(context))


# Steps run in the run's own process: each of our runs has one, and a process for it would cost 4 s.
one_at_a_time = dg.ExecutorDefinition(
    name="one_at_a_time",
    config_schema=dg.in_process_executor.config_schema,  # type: ignore[arg-type]  # its own, resolved already
    executor_creation_fn=_create,
)


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report runs of this machine whose process has ended as failed, and free their slots. Returns their ids."""
    ended = []
    for record in instance.get_run_records(filters=dg.RunsFilter(statuses=_UNDER_WAY)):
        run = record.dagster_run
        if run.tags.get(_HOST_TAG) != _here(run.run_id):
            if _abandoned(record):
                _end(instance, run)
                ended.append(run.run_id)
            continue
        lock = FileLock(_lock_file(instance, run.run_id))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            # It may have ended in the usual way since it was looked up.
            now = instance.get_run_by_id(run.run_id)
            if now is not None and now.status in _UNDER_WAY:
                _end(instance, now)
                ended.append(run.run_id)
        finally:
            lock.release()
            _lock_file(instance, run.run_id).unlink(missing_ok=True)
    return ended


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(
        run,
        "The process of this run has ended without a word (killed, or the machine was restarted). What "
        "it had committed is stored and published; its place in the pool is free again. Repeat the run.",
    )
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _abandoned(record: dg.RunRecord) -> bool:
    """Created long ago and never begun: whoever created it was killed before it could be started."""
    age = datetime.now(UTC) - record.create_timestamp.astimezone(UTC)
    return record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED and age > _ABANDONED_AFTER


def _here(run_id: str) -> str:
    return f"{socket.gethostname()}/{run_id}"


def _show_alive(instance: dg.DagsterInstance, run_id: str) -> None:
    """Whoever looks from now on sees that this run lives. Only runs that carry the tag are ever judged."""
    _forget_old(_folder(instance, "alive"))
    lock = FileLock(_lock_file(instance, run_id))
    lock.acquire()
    # Held until the process ends, not only until the executor has: Dagster notes after that how the run
    # ended, and whoever looked in between would take it for dead.
    _HELD.append(lock)
    instance.add_run_tags(run_id, {_HOST_TAG: _here(run_id)})


def _forget_old(folder: Path) -> None:
    """Remove the lock files of runs that have ended long ago."""
    before = time.time() - _KEPT_SECONDS
    for file in folder.iterdir():
        with suppress(FileNotFoundError, Timeout):
            if file.stat().st_mtime < before:
                with FileLock(file, timeout=0):
                    file.unlink()


def _lock_file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return _folder(instance, "alive") / run_id


def _wait_for_pools(context: "PlanOrchestrationContext", pools: set[str], turn: ExitStack) -> None:
    """Come back when each of the pools has room, with a lock on each in `turn`; Dagster then claims the place.

    While it waits, Dagster 1.13's in-process executor asks for the time without a pause and keeps a core
    busy (it sleeps for `min(0, …)` seconds); and nobody would look whether the run in front still lives. The
    locks, to be held until the place is claimed, keep two runs from seeing the same free place.
    """
    instance = context.instance
    while True:
        if _all_have_room(instance, pools, turn):
            return
        turn.close()
        run = instance.get_run_by_id(context.run_id)
        if check_captured_interrupt() or run is None or run.status is dg.DagsterRunStatus.CANCELING:
            raise dg.DagsterExecutionInterruptedError
        time.sleep(_LOOK_AGAIN_SECONDS)
        end_dead_runs(instance)


def _all_have_room(instance: dg.DagsterInstance, pools: set[str], turn: ExitStack) -> bool:
    for pool in sorted(pools):
        try:
            turn.enter_context(FileLock(_folder(instance, "pools") / pool, timeout=0))
        except Timeout:
            return False
        info = instance.event_log_storage.get_concurrency_info(pool)
        if info.limit is not None and len(info.claimed_slots) >= info.limit:
            return False
    return True


def _folder(instance: dg.DagsterInstance, name: str) -> Path:
    """A folder for locks, beside what the instance stores on this machine: all who share its pools find it."""
    folder = Path(instance.storage_directory(), name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
