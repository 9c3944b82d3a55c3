"""The real daemon on a real instance, left to itself: it loads everything, keeps fresh, and survives kill -9.

What belongs here: what only the daemon and its processes can show. What doesn't: when runs are started
(`test_sensors.py`), what is told (`test_alerts.py`).
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from filelock import FileLock, Timeout

from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.report.windows import WINDOW, WallClock
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Faults, Operation, Simulator
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.orchestration.automation.conftest import Webhook
from wolkvox_assets_tests.project import QUICK_DAEMON, ROOT, zone_at

pytestmark = pytest.mark.long

DAY = timedelta(days=1)
FAILED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])

# Shorter pauses and more frequent looks and ticks than in earnest; all else is as it is.
IMPATIENT = """
from datetime import timedelta

import dagster as dg

from wolkvox_assets.day_report.drawing import Reports
from wolkvox_assets.orchestration.automation import alerts, gaps
from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.pipeline import attempts
from wolkvox_assets.report.reports import AGENT_9, REPORTS
from wolkvox_assets.settings import load_settings

SECOND = timedelta(seconds=1)
REPORTS[:] = [AGENT_9]  # as in the tests
# Nobody looks at them, and they take longer than much of the rest.
Reports.pictures = lambda *_: {}
Reports.pages = lambda *_, **__: None
gaps._EVERY_SECONDS = alerts._EVERY_SECONDS = 5
gaps.PAUSE_WHEN_DIED = SECOND
dead_runs._STARTS_WITHIN = 30 * SECOND
attempts._LIVE_TRIES_WITHIN = SECOND
TEMPORARY = attempts.FailureScope.TEMPORARY
attempts._PAUSES[TEMPORARY] = attempts._PAUSES[TEMPORARY]._replace(first=SECOND, longest=SECOND)


@dg.sensor(job_name="live", minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def one_tick_after_the_other(context):
    under_way = dg.RunsFilter(job_name="live", statuses=gaps._UNDER_WAY)
    return dg.SkipReason("") if context.instance.get_runs(under_way, limit=1) else dg.RunRequest()


@dg.definitions
def defs():
    ours = build_definitions(CodeLocation(load_settings()))
    return dg.Definitions.merge(ours, dg.Definitions(sensors=[one_tick_after_the_other]))
"""

# Yesterday is history already, which a sensor asks for: three days more would take minutes.
YESTERDAY_IS_HISTORY = """
from wolkvox_assets.pipeline import to_do

to_do.RECENT_DAYS = 0
"""


def _as_a_child_of_ours() -> None:
    """Default handlers, which a background shell takes away; and gone when the tests are, even if killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@dataclass
class Daemon:
    """`dagster-daemon run` in a folder of its own, with its code server and its runs in one process group."""

    folder: Path
    environment: dict[str, str]
    _group: subprocess.Popen[bytes] | None = None
    _groups: list[int] = field(default_factory=list)

    def start(self) -> None:
        home = self.folder
        if self._group is not None:
            self._group.wait()
        with (home / "daemon.log").open("a") as log:
            self._group = subprocess.Popen(
                [sys.executable, "-c", QUICK_DAEMON, "run", "-w", "workspace.yaml"],
                cwd=home,
                env={**os.environ, **self.environment, "DAGSTER_HOME": str(home)},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_as_a_child_of_ours,
            )
        self._groups.append(self._group.pid)

    def kill(self) -> None:
        """kill -9 of the daemon, the code server and every run: the machine is switched off."""
        assert self._group is not None
        for pid in self.processes():
            _kill(pid)
        self._group.wait()

    def processes(self, words: str = "") -> list[int]:
        """Of the process groups that were started here; those whose command line has these words."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
                command = (entry / "cmdline").read_text().replace("\0", " ")
            except (OSError, ValueError):
                continue
            if session in self._groups and words in command:
                found.append(int(entry.name))
        return found

    def end(self) -> None:
        for _ in range(50):
            left = self.processes()
            for pid in left:
                _kill(pid)
            if self._group is not None:
                self._group.wait()
            if not left:
                return
            time.sleep(0.05)
        raise AssertionError("processes are left")

    @property
    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def until(what: Callable[[], object], seconds: float, daemon: Daemon) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"it did not come to it:\n{daemon.log[-6000:]}"
        time.sleep(0.5)  # a look takes CPU, too


class Known:
    """What the published file says, and whether that is the truth. `tokens`: of each operation; `start`, in `clock`."""

    def __init__(
        self, folder: Path, simulator: Simulator, tokens: dict[str, str], start: datetime, clock: WallClock
    ) -> None:
        self._published = FileStore(folder / "data").published
        self._simulator, self._tokens, self._start, self._clock = simulator, tokens, start, clock

    def windows(self, operation: str) -> list[datetime]:
        """In order; one that were known twice would stand there twice."""
        return [
            row[0]
            for row in self._query(
                f"SELECT window_start FROM agent_9_window_log WHERE operation = '{operation}' ORDER BY 1"
            )
        ]

    def missing(self, operation: str, before: datetime) -> int:
        """How many windows of the history before that moment (aware) are not known."""
        end = self._clock.now(before)
        wanted = int((end - self._start) / WINDOW)
        return wanted - sum(window < end - WINDOW for window in self.windows(operation)) - 1

    def assert_true(self, operation: str) -> None:
        """Every known window once, and exactly what the server says of it."""
        known = self.windows(operation)
        assert len(known) == len(set(known))
        rows = self._query(
            "SELECT window_start, agent_name, hold_mute_count, hold_seconds, mute_seconds, total_seconds"
            f" FROM agent_9_windows WHERE operation = '{operation}' ORDER BY 1, 2"
        )
        truth = [
            (window, agent, *usage)
            for window in known
            for agent, usage in sorted(
                self._simulator.truth(
                    window, window + WINDOW - timedelta(seconds=1), self._tokens[operation]
                ).items()
            )
        ]
        assert rows == truth

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        if not self._published.exists():
            return []
        with duckdb.connect(self._published, read_only=True) as con:
            return con.execute(sql).fetchall()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    workspace = (ROOT / "workspace.yaml").read_text()
    assert workspace.count("module_name: wolkvox_assets.definitions") == 1
    workspace = workspace.replace("module_name: wolkvox_assets.definitions", "module_name: impatient")
    (tmp_path / "workspace.yaml").write_text(workspace)
    settings = (ROOT / "dagster.yaml").read_text()
    for name, seconds in (("poll_interval_seconds", 15), ("free_slots_after_run_end_seconds", 30)):
        assert f"{name}: {seconds}" in settings
        settings = settings.replace(f"{name}: {seconds}", f"{name}: 2")
    (tmp_path / "dagster.yaml").write_text(settings)
    daemon = Daemon(tmp_path, {"WOLKVOX_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(tmp_path)})
    daemon.environment["FRESHNESS_DAEMON_INTERVAL_SECONDS"] = "2"  # 30 in earnest
    yield daemon
    daemon.end()


@pytest.fixture
def instance(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.chdir(daemon.folder)  # its dagster.yaml says where things lie from there
    with dg.DagsterInstance.from_config(str(daemon.folder)) as instance:
        yield instance


def midnight(days_ago: int, clock: WallClock) -> datetime:
    today = clock.now(datetime.now(UTC)).date()
    return datetime.combine(today, datetime.min.time()) - days_ago * DAY


def ask_for_a_backfill(instance: dg.DagsterInstance, operation: str) -> None:
    """Of every window up to two hours ago, as somebody asks for it in the UI."""
    key = dg.AssetKey([operation, "agent_9_windows"])
    graph = build_definitions(CodeLocation(load_settings())).resolve_asset_graph()
    partitions = graph.get(key).partitions_def
    assert partitions is not None
    instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id=operation,
            asset_graph=graph,
            partition_names=partitions.get_partition_keys()[:-24],
            asset_selection=[key],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )


def freshness(instance: dg.DagsterInstance, key: dg.AssetKey) -> str:
    """As the daemon has found it, with the settings of our `dagster.yaml`."""
    found = instance.event_log_storage.get_freshness_state_records([key]).get(key)
    return found.freshness_state.value if found else ""


def backfill(instance: dg.DagsterInstance, operation: str) -> BulkActionStatus:
    found = instance.get_backfill(operation)
    assert found is not None
    return found.status


# Dagster itself uses what it has deprecated, to make a backfill.
@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")
def test_operations_with_a_backfill_each_while_live_windows_arrive(
    daemon: Daemon, instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`north` and `near` share a token, `south` has one of its own, and that of `west` is wrong."""
    zone = zone_at(13)
    clock = WallClock(zone)
    operations = [
        Operation(Centre(10, seed=seed, profile="around_the_clock", timezone=zone), tokens=[token])
        for seed, token in enumerate(("token-a-17", "token-b-18"))
    ]
    start = midnight(0, clock)
    with Simulator(*operations, faults=Faults(latency=0.06)) as simulator:
        tables = [
            f'[operations.{name}]\nserver = "0013"\ntoken_env = "WOLKVOX_TOKEN_{token}"\n'
            f'start = {start:%Y-%m-%d}\nbase_url = "{simulator.url}"\ntimezone = "{zone}"\n'
            for name, token in (("north", "A"), ("near", "A"), ("south", "B"), ("west", "C"))
        ]
        (daemon.folder / "operations.toml").write_text("\n".join(tables))
        daemon.environment |= {
            "WOLKVOX_TOKEN_A": "token-a-17",
            "WOLKVOX_TOKEN_B": "token-b-18",
            "WOLKVOX_TOKEN_C": "token-c-that-nobody-knows",
            "WOLKVOX_ALERT_WEBHOOK": webhook.url,
        }
        for name, value in daemon.environment.items():
            monkeypatch.setenv(name, value)
        tokens = {"north": "token-a-17", "near": "token-a-17", "south": "token-b-18"}
        known = Known(daemon.folder, simulator, tokens, start, clock)
        for name in tokens:
            ask_for_a_backfill(instance, name)
        began = datetime.now(UTC)
        daemon.start()
        until(lambda: all(known.missing(name, began) <= 0 for name in tokens), 180, daemon)
        # Each backfill ends well, whoever got its windows in the end.
        done = BulkActionStatus.COMPLETED_SUCCESS
        until(lambda: all(backfill(instance, name) is done for name in tokens), 120, daemon)
        counters = simulator.counters
        log = [seen for seen in counters.log if seen.api == "agent_9"]
        # The newest window, which no backfill is for, came while there was history to load.
        newest = clock.now(began - timedelta(minutes=7))
        newest -= timedelta(minutes=newest.minute % 5, seconds=newest.second, microseconds=newest.microsecond)
        for token in set(tokens.values()):
            of_token = [seen for seen in log if seen.token == token]
            places = [n for n, seen in enumerate(of_token) if seen.date_ini == f"{newest:%Y%m%d%H%M%S}"]
            assert min(places) < len(of_token) - 20
        assert counters.most_in_flight == 1, counters.max_in_flight
        assert counters.token_outside_header == []
        for name in tokens:
            known.assert_true(name)
            windows = dg.AssetKey([name, "agent_9_windows"])
            until(lambda key=windows: freshness(instance, key) == "PASS", 60, daemon)  # type: ignore[misc]
            check = dg.AssetCheckKey(windows, "one_row_per_window_and_agent")
            found = instance.get_latest_asset_check_evaluation_record(check)
            assert found is not None
            assert found.status.value == "SUCCEEDED"
        # Meanwhile a tick failed, of `west` alone; one message was sent, and nobody else had anything to complain of.
        until(lambda: webhook.messages, 60, daemon)
        until(lambda: instance.get_runs(FAILED), 60, daemon)  # the others' windows come first
        failed = instance.get_runs(FAILED)
        assert {run.job_name for run in failed} == {"live"}
        steps = {
            step.step_key
            for run in failed
            for step in instance.get_run_step_stats(run.run_id)
            if step.status is not None and step.status.value == "FAILURE"
        }
        assert steps == {"west_live"}
        (message,) = webhook.messages
        assert "west" in message
        assert "TokenRefused" in message
        assert counters.by_token["token-c-that-nobody-knows"] <= 5


def test_after_an_outage_and_whatever_is_killed_it_heals_by_itself(
    daemon: Daemon, instance: dg.DagsterInstance
) -> None:
    zone = zone_at(13)
    clock = WallClock(zone)
    start = midnight(2, clock)  # two days are history, loaded by a run of the asset; ticks keep today
    (daemon.folder / "impatient.py").write_text(IMPATIENT + YESTERDAY_IS_HISTORY)
    centre = Centre(10, profile="around_the_clock", timezone=zone)
    with Simulator(Operation(centre, tokens=["token-c-19"]), faults=Faults(latency=0.08)) as simulator:
        daemon.environment |= {
            "WOLKVOX_TIMEZONE": zone,
            "WOLKVOX_TOKEN": "token-c-19",
            "WOLKVOX_BASE_URL": simulator.url,
            "WOLKVOX_START": f"{start:%Y-%m-%d}",
        }
        known = Known(daemon.folder, simulator, {"main": "token-c-19"}, start, clock)

        def loaded(more: int) -> None:
            before = len(known.windows("main"))
            until(lambda: len(known.windows("main")) > before + more, 120, daemon)

        def kill_the_runs() -> None:
            failed = len(instance.get_runs(FAILED))
            workers = daemon.processes("multiprocessing.spawn") + daemon.processes("execute_run")
            assert workers, daemon.log
            for pid in workers:
                _kill(pid)
            until(lambda: len(instance.get_runs(FAILED)) > failed, 60, daemon)

        began = datetime.now(UTC)
        simulator.faults.maintenance = True
        daemon.start()
        until(lambda: instance.get_runs(FAILED), 120, daemon)
        assert simulator.counters.requests <= 30
        assert known.windows("main") == []
        simulator.faults.maintenance = False
        loaded(20)

        # kill -9 of the code server, then of the daemon: runs that are under way go on, and so does all else.
        for words in ("dagster api grpc", QUICK_DAEMON):
            pids = daemon.processes(words)
            assert pids, daemon.log
            for pid in pids:
                _kill(pid)
            loaded(5)
        daemon.start()  # the one that was killed has a successor

        # kill -9 of the runs' own processes: they are found dead, and others go on.
        kill_the_runs()
        known.assert_true("main")
        loaded(20)

        # kill -9 of everything.
        daemon.kill()
        known.assert_true("main")
        simulator.faults.latency = 0.0
        daemon.start()
        until(lambda: known.missing("main", began) <= 0, 180, daemon)
        known.assert_true("main")
        # No run is left that only looks as if it lived.
        until(lambda: all(run.run_id in alive(instance) for run in under_way(instance)), 60, daemon)
        assert simulator.counters.most_in_flight == 1


def under_way(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    return list(instance.get_runs(filters=started))


def alive(instance: dg.DagsterInstance) -> set[str]:
    """Runs whose processes hold their locks."""
    found = set()
    for file in Path(instance.storage_directory(), "alive").iterdir():
        try:
            FileLock(file, timeout=0).acquire().lock.release()
        except Timeout:
            found.add(file.name.partition(".")[0])
    return found
