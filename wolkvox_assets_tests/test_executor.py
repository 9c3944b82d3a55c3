"""Who waits for the token's place in the pool, who has it, and who is dead: with real processes, really killed."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Event

import dagster as dg
import pytest
from filelock import FileLock
from wolkvox_assets.executor import end_dead_runs, one_at_a_time

from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets_tests.project import Project

DAY = date(2026, 11, 18)
POOL = "tiny"
HOST = "wolkvox/host"


@dg.op(pool=POOL)
def tiny_op(context: dg.OpExecutionContext) -> None:
    context.log.info("done")


def tiny() -> dg.JobDefinition:
    @dg.job(executor_def=one_at_a_time)
    def tiny_job() -> None:
        tiny_op()

    return tiny_job


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "dagster"
    home.mkdir()
    pools = {"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}
    with dg.DagsterInstance.local_temp(str(home), overrides=pools) as instance:
        yield instance


def until(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.05)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def statuses(instance: dg.DagsterInstance) -> list[str]:
    """Of all runs, the oldest first."""
    return [run.status.value for run in instance.get_runs()][::-1]


def test_a_killed_command_line_run_gives_way_to_one_that_waits_without_burning_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(Centre(20)) as simulator:
        project = Project(tmp_path, simulator, DAY)
        simulator.faults.latency = 0.2
        first = project.command("main/agent_9_windows", partition_range=f"{DAY}T08:00...{DAY}T20:00")
        until(lambda: simulator.counters.requests > 2)
        second = project.command("main/agent_9_windows", partition_range=f"{DAY}T12:00...{DAY}T12:25")
        try:
            monkeypatch.chdir(project.home)  # its dagster.yaml says where things lie from there
            with dg.DagsterInstance.from_config(str(project.home)) as instance:
                until(lambda: statuses(instance) == ["STARTED", "STARTED"])
                until(lambda: all(HOST in run.tags for run in instance.get_runs()))
                pool = instance.event_log_storage.get_concurrency_info("wolkvox_main")
                assert len(pool.claimed_slots) == 1

                # The second waits: it looks now and then, and works little.
                time.sleep(1)  # what it does before it waits
                before, began = cpu_seconds(second.process.pid), time.monotonic()
                time.sleep(6)
                used = cpu_seconds(second.process.pid) - before
                assert used / (time.monotonic() - began) < 0.3
                assert statuses(instance) == ["STARTED", "STARTED"]
                assert simulator.counters.most_in_flight == 1

                # Both live: nobody is judged, by nobody.
                assert end_dead_runs(instance) == []
                first.kill()
                assert statuses(instance) == ["STARTED", "STARTED"]
                second.finish(timeout=40)
                assert statuses(instance) == ["FAILURE", "SUCCESS"]
                pool = instance.event_log_storage.get_concurrency_info("wolkvox_main")
                assert pool.claimed_slots == []
                assert pool.pending_steps == []
                killed = instance.get_runs()[-1]
                logs = instance.all_logs(killed.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
                assert "ended without a word" in str(logs[-1].message)
        finally:
            first.kill()
            second.kill()
        windows = [window for window in project.known() if window.hour == 12 and window.minute <= 25]
        assert len(windows) == 6
        assert project.rows() == project.true_rows(project.known())


def test_two_runs_never_see_one_free_place(instance: dg.DagsterInstance) -> None:
    """Whoever looks whether the pool has room holds a lock until the place is claimed."""
    folder = Path(instance.storage_directory(), "pools")
    folder.mkdir(parents=True)
    held = Event()

    def another_run_that_looks() -> list[list[str]]:
        with FileLock(folder / POOL):
            held.set()
            until(lambda: statuses(instance) == ["STARTED"])
            time.sleep(0.5)
            claimed = instance.event_log_storage.get_concurrency_info(POOL).claimed_slots
            return [statuses(instance), [slot.run_id for slot in claimed]]

    with ThreadPoolExecutor(1) as other:
        seen = other.submit(another_run_that_looks)
        assert held.wait(10)
        assert dg.execute_job(dg.reconstructable(tiny), instance=instance).success
        assert seen.result(30) == [["STARTED"], []]
    with FileLock(folder / POOL, timeout=0):
        pass  # it is free again


def start(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(tiny(), status=dg.DagsterRunStatus.STARTED, tags=tags)


def test_only_runs_of_this_machine_whose_process_has_ended_are_ended(instance: dg.DagsterInstance) -> None:
    dead = start(instance)
    instance.add_run_tags(dead.run_id, {HOST: f"{socket.gethostname()}/{dead.run_id}"})
    # Dagster copies tags to the run that takes a failed one's place, which may hold no lock yet.
    retried = start(instance, **{HOST: f"{socket.gethostname()}/{dead.run_id}"})
    elsewhere = start(instance, **{HOST: "another-machine"})
    unknown = start(instance)
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    instance.event_log_storage.claim_concurrency_slot(POOL, dead.run_id, "tiny_op")
    assert end_dead_runs(instance) == [dead.run_id]
    now = {run.run_id: run.status.value for run in instance.get_runs()}
    assert now == {
        dead.run_id: "FAILURE",
        elsewhere.run_id: "STARTED",
        unknown.run_id: "STARTED",
        retried.run_id: "STARTED",
    }
    assert instance.event_log_storage.get_concurrency_info(POOL).claimed_slots == []
    assert end_dead_runs(instance) == []  # once


def test_a_run_that_ends_is_never_taken_for_dead(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody looks after the executor has ended and before Dagster has noted that the run has."""
    looked: list[list[str]] = []
    success = dg.DagsterEvent.job_success

    def look_first(*args: object) -> dg.DagsterEvent:
        looked.append(end_dead_runs(instance))
        return success(*args)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(dg.DagsterEvent, "job_success", look_first)
    result = dg.execute_job(dg.reconstructable(tiny), instance=instance)
    assert result.success
    assert looked == [[]]
    failures = dg.DagsterEventType.RUN_FAILURE
    assert not instance.all_logs(instance.get_runs()[0].run_id, of_type=failures)  # nobody took it for dead
    assert statuses(instance) == ["SUCCESS"]
    run = instance.get_runs()[0]
    assert run.tags[HOST] == f"{socket.gethostname()}/{run.run_id}"


def test_lock_files_of_long_ago_are_cleared_away_and_those_that_are_held_are_not(
    instance: dg.DagsterInstance,
) -> None:
    assert dg.execute_job(dg.reconstructable(tiny), instance=instance).success
    folder = Path(instance.storage_directory(), "alive")
    held = instance.get_runs()[0].run_id
    (folder / "long-ago").touch()
    (folder / "lately").touch()
    for name in ("long-ago", held):
        os.utime(folder / name, (0, 0))
    assert dg.execute_job(dg.reconstructable(tiny), instance=instance).success
    last = instance.get_runs()[0].run_id
    assert {file.name for file in folder.iterdir()} == {held, "lately", last}
