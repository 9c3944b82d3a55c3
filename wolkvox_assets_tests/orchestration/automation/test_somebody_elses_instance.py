"""Our code location in an instance that is set up for others: no pool limits, no run monitoring, their storage, and
another code location whose job and sensor have the names of ours.
"""

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from wolkvox_assets.commands import dagster_doctor
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Faults, Operation, Simulator
from wolkvox_assets_tests.lakes import dagster_database
from wolkvox_assets_tests.orchestration.automation.test_daemon import (
    FAILED,
    IMPATIENT,
    YESTERDAY_IS_HISTORY,
    Daemon,
    Known,
    ask_for_a_backfill,
    backfill,
    midnight,
    until,
)
from wolkvox_assets_tests.project import zone_at

THEIRS = """
import dagster as dg


@dg.op
def step():
    pass


@dg.job
def live():
    step()


@dg.sensor(job=live, minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def alerts(context):
    return dg.RunRequest(run_key="once")


defs = dg.Definitions(jobs=[live], sensors=[alerts])
"""
WORKSPACE = """
load_from:
  - python_module: theirs
  - python_module: impatient
"""
TOKEN = "token-d-20"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """On their Postgres."""
    with ExitStack() as stack:
        url = stack.enter_context(dagster_database())
        for name, text in (
            ("dagster.yaml", f"storage:\n  postgres:\n    postgres_url: {url}\n"),
            ("workspace.yaml", WORKSPACE),
            ("theirs.py", THEIRS),
            ("impatient.py", IMPATIENT + YESTERDAY_IS_HISTORY),
        ):
            (tmp_path / name).write_text(text)
        daemon = Daemon(tmp_path, {"WOLKVOX_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(tmp_path)})
        stack.callback(daemon.end)
        yield daemon


def two_operations(folder: Path, simulator: Simulator, start: datetime, zone: str) -> dict[str, str]:
    """`north` and `near`, with one token. Returns what is to be set."""
    (folder / "operations.toml").write_text(
        "\n".join(
            f'[operations.{name}]\nserver = "0013"\ntoken_env = "WOLKVOX_TOKEN_D"\n'
            f'start = {start:%Y-%m-%d}\nbase_url = "{simulator.url}"\ntimezone = "{zone}"\n'
            for name in ("north", "near")
        )
    )
    return {"WOLKVOX_TOKEN_D": TOKEN, "WOLKVOX_DATA_DIR": str(folder / "data"), "DAGSTER_HOME": str(folder)}


@pytest.mark.long
def test_on_dagsters_own_storage_with_an_empty_dagster_yaml(tmp_path: Path) -> None:
    """Two ranges and a tick, at one time, as nothing holds them apart."""
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "impatient.py").write_text(IMPATIENT + YESTERDAY_IS_HISTORY)
    zone = zone_at(3)
    clock = WallClock(zone)
    account = Operation(Centre(6, seed=5, timezone=zone), tokens=[TOKEN])
    start = midnight(1, clock)
    ranges = (
        f"asset materialize --select {name}/agent_9_windows --partition-range {start:%Y-%m-%dT09:00...%Y-%m-%dT10:55}"
        for name in ("north", "near")
    )
    with Simulator(account, faults=Faults(latency=0.02)) as simulator:
        environment = {**os.environ, **two_operations(tmp_path, simulator, start, zone)}
        processes = []
        for n, command in enumerate((*ranges, "job execute -j live")):
            words = [sys.executable, "-m", "dagster", *command.split(), "-m", "impatient"]
            with (tmp_path / f"{n}.log").open("w") as log:
                processes.append(
                    subprocess.Popen(
                        words, env=environment, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT
                    )
                )
            if (
                n == 0
            ):  # two that make its files at one time trip over each other: that is Dagster's own storage
                until_there(tmp_path / "schedules" / "schedules.db")
        for n, process in enumerate(processes):
            assert process.wait(180) == 0, (tmp_path / f"{n}.log").read_text()[-3000:]
        assert simulator.counters.most_in_flight == 1, simulator.counters.max_in_flight
        known = Known(tmp_path, simulator, {"north": TOKEN, "near": TOKEN}, start, clock)
        for name in ("north", "near"):
            assert len(known.windows(name)) >= 24
            known.assert_true(name)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        # Its events are as Dagster writes them: its UI has to read them.
        record = instance.get_latest_materialization_event(dg.AssetKey(["near", "agent_9_windows"]))
        assert record is not None
        with closing(sqlite3.connect(tmp_path / "history" / "runs" / "index.db")) as con:
            assert con.execute("SELECT DISTINCT typeof(event) FROM event_logs").fetchall() == [("text",)]


def until_there(file: Path) -> None:
    end = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(1)


# Dagster itself uses what it has deprecated, to make a backfill.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")
def test_all_is_loaded_once_and_exactly(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks, a backfill and history of two operations with one token, which no pool keeps apart."""
    zone = zone_at(3)
    clock = WallClock(zone)
    start = midnight(1, clock)
    account = Operation(Centre(6, seed=4, timezone=zone), tokens=[TOKEN])
    with Simulator(account, faults=Faults(latency=0.01)) as simulator:
        daemon.environment |= two_operations(daemon.folder, simulator, start, zone)
        for name, value in daemon.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(daemon.folder)
        known = Known(daemon.folder, simulator, {"north": TOKEN, "near": TOKEN}, start, clock)
        with dg.DagsterInstance.from_config(str(daemon.folder)) as instance:
            ask_for_a_backfill(instance, "north")
            began = datetime.now(UTC)
            daemon.start()
            until(lambda: all(known.missing(name, began) <= 0 for name in ("north", "near")), 300, daemon)
            done = BulkActionStatus.COMPLETED_SUCCESS
            until(lambda: backfill(instance, "north") is done, 120, daemon)
            until(lambda: jobs(instance)["live", "theirs"], 30, daemon)
            # Each window of yesterday is marked; `near` has it by a run of the sensor.
            until(
                lambda: marked(instance, "north", start) == marked(instance, "near", start) == 288, 90, daemon
            )
            # Marks come before their run has ended, and before the checks of what it stored.
            until(
                lambda: jobs(instance)["live", "ours"] and jobs(instance)["__ASSET_JOB", "ours"] >= 2,
                90,
                daemon,
            )
            until(lambda: len(wrong()) <= 3, 90, daemon)
            assert simulator.counters.most_in_flight == 1, simulator.counters.max_in_flight
            assert [run.job_name for run in instance.get_runs(FAILED)] == []
        assert "storing event batch" not in daemon.log
        for name in ("north", "near"):
            known.assert_true(name)
        assert [words.partition("dagster.yaml: ")[2][:22] for words in wrong()] == [
            "no limit of one for wo",
            "no `granularity: run` ",
            "run_monitoring is not ",
        ], wrong()


def wrong() -> list[str]:
    return [words for fine, words in dagster_doctor.findings(load_settings()) if not fine]


def marked(instance: dg.DagsterInstance, operation: str, day: datetime) -> int:
    marks = instance.get_materialized_partitions(dg.AssetKey([operation, "agent_9_windows"]))
    return sum(mark.startswith(f"{day:%Y-%m-%d}") for mark in marks)


def jobs(instance: dg.DagsterInstance) -> Counter[tuple[str, str]]:
    """How many runs of each job have ended well, and whose they are."""
    ended = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
    return Counter(
        (
            run.job_name,
            "theirs" if origin is not None and "theirs" in origin.location_name else "ours",
        )
        for run in ended
        for origin in [run.remote_job_origin]
    )
