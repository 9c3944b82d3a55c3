"""Runs that died are told from runs that live: with real processes, really killed."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from filelock import FileLock, Timeout

from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.orchestration.run.tags import LAUNCHED_BY, WORK
from wolkvox_assets.simulator import Centre, Faults, Simulator
from wolkvox_assets_tests.project import Project, instance_in, utc_now

DAY = date(2026, 11, 18)
POOL = "tiny"


@dg.op(pool=POOL)
def tiny_op(context: dg.OpExecutionContext) -> None:
    dead_runs.show_alive(context.instance, context.run_id)


@dg.job(executor_def=dg.in_process_executor)
def tiny() -> None:
    tiny_op()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


def until(what: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.05)


def statuses(instance: dg.DagsterInstance) -> dict[str, str]:
    return {run.run_id: run.status.value for run in instance.get_runs()}


@pytest.mark.long
def test_of_two_command_lines_with_one_token_that_take_turns_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(Centre(20), faults=Faults(latency=1.0)) as simulator:
        project = Project(tmp_path, simulator, DAY)
        ranges = {hour: f"{DAY}T{hour}:00...{DAY}T{hour}:55" for hour in ("08", "12")}
        first, second = (
            project.command("main/agent_9_windows", partition_range=each) for each in ranges.values()
        )
        try:
            monkeypatch.chdir(project.home)  # its dagster.yaml says where things lie from there

            def asked(hour: str) -> int:
                return sum(seen.date_ini[8:10] == hour for seen in simulator.counters.log)

            until(lambda: asked("08") and asked("12"))
            with dg.DagsterInstance.from_config(str(project.home)) as instance:
                assert dead_runs.end_dead_runs(instance, utc_now()) == []  # both live
                killed = next(run.run_id for run in instance.get_runs() if "T08" in str(run.tags))
                first.kill()
                simulator.faults.latency = 0.0
                assert dead_runs.end_dead_runs(instance, utc_now()) == [killed]
                (reported,) = instance.all_logs(killed, of_type=dg.DagsterEventType.RUN_FAILURE)
                assert "died without reporting" in str(reported.message)
                second.finish(timeout=60)
                assert sorted(statuses(instance).values()) == ["FAILURE", "SUCCESS"]
                assert dead_runs.end_dead_runs(instance, utc_now()) == []
        finally:
            first.kill()
            second.kill()
        assert simulator.counters.most_in_flight == 1
    assert sum(window.hour == 12 for window in project.known()) == 12
    assert project.rows() == project.true_rows(project.known())


@pytest.mark.long
def test_a_run_that_is_killed_while_it_waits_for_its_place_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Dagster's own storage, which shows nothing of a run before our code runs in it."""
    with Simulator(Centre(4)) as simulator:
        project = Project(tmp_path, simulator, DAY)
        home = tmp_path / "theirs"
        home.mkdir()
        (home / "dagster.yaml").write_text("concurrency: {pools: {default_limit: 1, granularity: op}}")
        monkeypatch.chdir(home)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            storage = instance.event_log_storage
            storage.initialize_concurrency_limit_to_default("wolkvox_main")
            assert storage.claim_concurrency_slot("wolkvox_main", "another run", "step").is_claimed
            waiting = project.command(
                "main/agent_9_windows", partition_range=f"{DAY}T08:00...{DAY}T08:05", home=home
            )
            try:
                until(lambda: len(storage.get_concurrency_info("wolkvox_main").pending_steps) > 1)
            finally:
                waiting.kill()
            ((killed, _),) = statuses(instance).items()
            assert dead_runs.end_dead_runs(instance, utc_now()) == [killed]
            storage.free_concurrency_slots_for_run("another run")
            assert storage.claim_concurrency_slot("wolkvox_main", "the next run", "step").is_claimed


def test_only_runs_of_this_machine_whose_process_has_ended_are_ended(instance: dg.DagsterInstance) -> None:
    dead, living, elsewhere, unknown = (
        instance.create_run_for_job(tiny, status=dg.DagsterRunStatus.STARTED) for _ in range(4)
    )
    folder = Path(instance.storage_directory(), "alive")
    folder.mkdir(parents=True)
    (folder / f"{dead.run_id}.{socket.gethostname()}").touch()
    (folder / f"{elsewhere.run_id}.another-machine").touch()
    instance.event_log_storage.set_concurrency_slots(POOL, 1)
    instance.event_log_storage.claim_concurrency_slot(POOL, dead.run_id, "tiny_op")
    with FileLock(folder / f"{living.run_id}.{socket.gethostname()}"):
        assert dead_runs.end_dead_runs(instance, utc_now()) == [dead.run_id]
    assert statuses(instance) == {
        dead.run_id: "FAILURE",
        living.run_id: "STARTED",
        elsewhere.run_id: "STARTED",
        unknown.run_id: "STARTED",
    }
    assert instance.event_log_storage.get_concurrency_info(POOL).claimed_slots == []


def test_a_run_whose_process_died_before_it_began_is_ended_after_a_while(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine was switched off just then. Dagster waits ten minutes for it, and so would ticks."""
    here = {LAUNCHED_BY: '{"host": "localhost", "socket": "/tmp/s"}'}

    def starting(tags: Mapping[str, str]) -> str:
        return instance.create_run_for_job(tiny, status=dg.DagsterRunStatus.STARTING, tags=tags).run_id

    # Of the second the daemon died, before it had asked for a process.
    ours = {starting({WORK: "live", **here}), starting({WORK: "live"})}
    others = {
        starting(here),
        starting({WORK: "live", LAUNCHED_BY: '{"host": "another-machine", "port": 4000}'}),
    }
    now = utc_now()
    assert dead_runs.end_dead_runs(instance, now + timedelta(minutes=1)) == []
    with monkeypatch.context() as elsewhere:  # runs are pods, say
        elsewhere.setattr(instance, "_run_launcher", SyncInMemoryRunLauncher())
        assert dead_runs.end_dead_runs(instance, now + timedelta(minutes=3)) == []
    assert set(dead_runs.end_dead_runs(instance, now + timedelta(minutes=3))) == ours
    assert statuses(instance) == dict.fromkeys(ours, "FAILURE") | dict.fromkeys(others, "STARTING")


def test_a_run_shows_that_it_lives_from_its_first_moment(tmp_path: Path) -> None:
    """Before the first line of ours in it: a process is killed there, too."""

    @dg.job(executor_def=dg.in_process_executor)
    def another() -> None: ...

    with instance_in(tmp_path / "dagster") as instance:
        run_id = another.execute_in_process(instance=instance).run_id
        (file,) = Path(instance.storage_directory(), "alive").iterdir()
        assert file.name.startswith(run_id)
        with pytest.raises(Timeout):
            FileLock(file, timeout=0).acquire()


def test_a_run_that_ends_is_never_taken_for_dead(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody looks after its work has ended and before Dagster has noted that the run has."""
    looked: list[list[str]] = []
    success = dg.DagsterEvent.job_success

    def look_first(*args: object) -> dg.DagsterEvent:
        looked.append(dead_runs.end_dead_runs(instance, utc_now()))
        return success(*args)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(dg.DagsterEvent, "job_success", look_first)
    assert tiny.execute_in_process(instance=instance).success
    assert looked == [[]]
    (run,) = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert not instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)


def test_lock_files_of_long_ago_are_cleared_away_and_those_that_are_held_are_not(
    instance: dg.DagsterInstance,
) -> None:
    folder = Path(instance.storage_directory(), "alive")
    dead_runs.show_alive(instance, "held")
    (held,) = folder.iterdir()
    (folder / "long-ago").touch()
    (folder / "lately").touch()
    for name in (held.name, "long-ago"):
        os.utime(folder / name, (0, 0))
    dead_runs.show_alive(instance, "last")
    assert {file.name.partition(".")[0] for file in folder.iterdir()} == {"held", "lately", "last"}
