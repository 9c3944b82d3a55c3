"""Our code location in an instance that is set up for others: no pool limits, no run monitoring, their storage, and
another code location whose job and sensor have the names of ours. By the real daemon.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from wolkvox_assets.commands import dagster_doctor
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Operation, Simulator
from wolkvox_assets_tests.lakes import dagster_database
from wolkvox_assets_tests.orchestration.automation.test_daemon import (
    FAILED,
    IMPATIENT,
    Daemon,
    Known,
    ask_for_a_backfill,
    backfill,
    midnight,
    until,
)

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
# Yesterday is history already, which a sensor asks for: three days more would take minutes with this storage.
YESTERDAY_IS_HISTORY = """
from wolkvox_assets.pipeline import to_do

to_do.RECENT_DAYS = 0
"""


@pytest.fixture(params=["sqlite", "postgres"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    with ExitStack() as stack:
        settings = "\n"  # an empty dagster.yaml
        if request.param == "postgres":
            settings = f"storage:\n  postgres:\n    postgres_url: {stack.enter_context(dagster_database())}\n"
        for name, text in (
            ("dagster.yaml", settings),
            ("workspace.yaml", WORKSPACE),
            ("theirs.py", THEIRS),
            ("impatient.py", IMPATIENT + YESTERDAY_IS_HISTORY),
        ):
            (tmp_path / name).write_text(text)
        daemon = Daemon(tmp_path, {"WOLKVOX_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(tmp_path)})
        stack.callback(daemon.end)
        yield daemon


# Dagster itself uses what it has deprecated, to make a backfill.
@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")
def test_all_is_loaded_once_and_exactly(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks, a backfill and history of two operations with one token, which no pool keeps apart."""
    start = midnight(1)
    account = Operation(Centre(6, seed=4), tokens=[TOKEN])
    with Simulator(operations=[account], latency=0.01) as simulator:
        (daemon.folder / "operations.toml").write_text(
            "\n".join(
                f'[operations.{name}]\nserver = "0013"\ntoken_env = "WOLKVOX_TOKEN_D"\n'
                f'start = {start:%Y-%m-%d}\nbase_url = "{simulator.url}"\n'
                for name in ("north", "near")
            )
        )
        daemon.environment |= {"WOLKVOX_TOKEN_D": TOKEN}
        for name, value in {**daemon.environment, "DAGSTER_HOME": str(daemon.folder)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(daemon.folder)
        known = Known(daemon.folder, simulator, {"north": TOKEN, "near": TOKEN}, start)
        with dg.DagsterInstance.from_config(str(daemon.folder)) as instance:
            ask_for_a_backfill(instance, "north")
            began = datetime.now(UTC)
            daemon.start()
            until(lambda: all(known.missing(name, began) <= 0 for name in ("north", "near")), 180, daemon)
            done = BulkActionStatus.COMPLETED_SUCCESS
            until(lambda: backfill(instance, "north") is done, 120, daemon)
            until(lambda: jobs(instance)["live", "theirs"], 30, daemon)
            # Each window of yesterday is marked; `near` has it by a run of the sensor.
            until(
                lambda: marked(instance, "north", start) == marked(instance, "near", start) == 288, 90, daemon
            )
            assert simulator.counters.most_in_flight == 1, simulator.counters.max_in_flight
            assert [run.job_name for run in instance.get_runs(FAILED)] == []
            assert jobs(instance)["live", "ours"] > 0
            assert jobs(instance)["__ASSET_JOB", "ours"] >= 2
        for name in ("north", "near"):
            known.assert_true(name)
        said = [words for fine, words in dagster_doctor.findings(load_settings()) if not fine]
        assert [words.partition("dagster.yaml: ")[2][:22] for words in said] == [
            "no limit of one for wo",
            "no `granularity: run` ",
            "run_monitoring is not ",
        ]


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
