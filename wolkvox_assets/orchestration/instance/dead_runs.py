"""Telling living runs from dead ones.

Dagster notices when a run that its daemon started is killed (`run_monitoring` in dagster.yaml). A run that was started
on the command line and killed stays STARTED for ever, and holds its place in the pool. So each run holds a lock on a
file of its own for as long as its process lives, which the operating system lets go whatever happens, and the sensors
look at the others'. A run that died before it could show anything stays STARTING: after a while it is ended as well.
"""

import socket
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from wolkvox_assets.orchestration.run.tags import LAUNCHED_BY, WORK
from wolkvox_assets.report.clocks import lately

WITH_A_PROCESS = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_KEPT_SECONDS = 86_400.0
# A process takes 2 s to begin its run, and was seen to take 40 s on a machine with a load of 40. One that comes after
# its run was ended finds it ended, and leaves.
_STARTS_WITHIN = timedelta(minutes=2)
_HELD: list[FileLock] = []  # by this process


def show_alive(instance: dg.DagsterInstance, run_id: str) -> None:
    """Whoever looks from now on sees that this run lives. Only runs that have shown it are ever judged."""
    _forget_old(_folder(instance))
    lock = FileLock(_lock_file(instance, run_id))
    # Held until the process ends, not only until the run's work is done: Dagster notes after that how the run ended,
    # and whoever looked in between would take it for dead.
    with suppress(Timeout):  # the run has two steps, or was started anew within its process
        lock.acquire(timeout=0)
        _HELD.append(lock)


def end_dead_runs(instance: dg.DagsterInstance, now: datetime) -> list[str]:
    """Report runs of this machine whose process has died as failed, and free their places. Returns their ids.

    `now`: aware.
    """
    ended = []
    for record in instance.get_run_records(filters=dg.RunsFilter(statuses=WITH_A_PROCESS)):
        run_id = record.dagster_run.run_id
        file = _lock_file(instance, run_id)
        if not file.exists() and not _never_began(instance, record, now):
            continue
        try:
            with FileLock(file, timeout=0):
                # It may have ended in the usual way since it was looked up.
                run = instance.get_run_by_id(run_id)
                if run is not None and run.status in WITH_A_PROCESS:
                    _end(instance, run)
                    ended.append(run_id)
            file.unlink(missing_ok=True)
        except Timeout:
            continue
    return ended


def ended_at(record: dg.RunRecord) -> datetime:
    """When this run, which has ended, ended (aware). Its last update may be a tag that came later."""
    return datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)


def _never_began(instance: dg.DagsterInstance, record: dg.RunRecord, now: datetime) -> bool:
    """Whether the process that was to do this run of our automation, on this machine, must have died before."""
    run = record.dagster_run
    # A socket reaches no other machine. Without an address, the daemon died before it asked for the process.
    here = "socket" in run.tags.get(LAUNCHED_BY, "socket")
    return (
        run.status is dg.DagsterRunStatus.STARTING
        and WORK in run.tags
        and isinstance(instance.run_launcher, dg.DefaultRunLauncher)
        and here
        and not lately(record.update_timestamp, now, _STARTS_WITHIN)
    )


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(
        run,
        "The process of this run died without reporting (killed, or the machine was restarted). What it had committed "
        "is stored; its place in the pool is free again. Repeat the run.",
    )
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _forget_old(folder: Path) -> None:
    """Remove the lock files of runs that have ended long ago."""
    before = time.time() - _KEPT_SECONDS
    for file in folder.iterdir():
        with suppress(FileNotFoundError, Timeout):
            if file.stat().st_mtime < before:
                with FileLock(file, timeout=0):
                    file.unlink()


def _lock_file(instance: dg.DagsterInstance, run_id: str) -> Path:
    # Its name tells the machine: a lock on another machine's disk says nothing here.
    return _folder(instance) / f"{run_id}.{socket.gethostname()}"


def _folder(instance: dg.DagsterInstance) -> Path:
    """Beside what the instance stores on this machine."""
    folder = Path(instance.storage_directory(), "alive")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
