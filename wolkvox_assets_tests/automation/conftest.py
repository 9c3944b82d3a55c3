"""A code location with an instance on disk, whose schedules, sensors and jobs a test sets going itself."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from wolkvox_assets.assets.partitions import windows_key
from wolkvox_assets.assets.run_tags import OPERATION
from wolkvox_assets.clocks import Clocks
from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.settings import Operation, load_settings
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.windows import Range
from wolkvox_assets_tests.project import Project

DAY = timedelta(days=1)


class Clock:
    """The time that schedules, sensors and runs go by, in place of the machine's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def set(self, now: datetime) -> None:
        class Fixed(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                assert tz is UTC
                return now

        for module in ("automation.gaps", "automation.live", "automation.alerts", "assets.keep_fresh"):
            self._monkeypatch.setattr(f"wolkvox_assets.{module}.datetime", Fixed)
        self._monkeypatch.setattr("wolkvox_assets.assets.keep_fresh.Clocks", lambda: Clocks(now=lambda: now))


@dataclass
class Tick:
    """What a schedule or a sensor said."""

    runs: Sequence[dg.RunRequest]
    skipped: str
    cursor: str | None = None


@dataclass
class Location:
    """The code location as the daemon sees it, without the daemon."""

    project: Project
    instance: dg.DagsterInstance
    monkeypatch: pytest.MonkeyPatch
    cursors: dict[str, str | None]

    def reload(self, **settings: str) -> None:
        for name, value in {**self.project.settings, **settings}.items():
            self.monkeypatch.setenv(name, value)
        self.definitions = build_definitions(load_settings())

    @property
    def operation(self) -> Operation:
        return load_settings().operations[0]

    def schedule(self, operation: str = "main") -> Tick:
        schedule = self.definitions.resolve_schedule_def(f"{operation}_live_schedule")
        with dg.build_schedule_context(self.instance, scheduled_execution_time=datetime.now(UTC)) as context:
            said = schedule.evaluate_tick(context)
        return Tick(said.run_requests or [], said.skip_message or "")

    def sensor(self, name: str = "main_gaps") -> Tick:
        sensor = self.definitions.resolve_sensor_def(name)
        with dg.build_sensor_context(
            self.instance, cursor=self.cursors.get(name), definitions=self.definitions, sensor_name=name
        ) as context:
            said = sensor.evaluate_tick(context)
        self.cursors[name] = said.cursor
        return Tick(said.run_requests or [], said.skip_message or "", said.cursor)

    def execute(self, job: str, request: dg.RunRequest | None = None) -> dg.ExecuteInProcessResult:
        """Really run it, in this process."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            run_config=request.run_config if request else None,
            tags=dict(request.tags) if request else None,
            raise_on_error=False,
        )

    def record(
        self,
        job: str,
        status: dg.DagsterRunStatus,
        *,
        ended: datetime | None = None,
        asset_selection: set[dg.AssetKey] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.DagsterRun:
        """A run in Dagster's record, as if there had been one."""
        job_def = self.definitions.resolve_job_def(job)
        failed = status is dg.DagsterRunStatus.FAILURE
        run = self.instance.create_run_for_job(
            job_def,
            run_config={"ops": {f"{job.removesuffix('_catch_up')}_fill": {"config": {"ranges": []}}}}
            if job.endswith("_catch_up")
            else None,
            status=dg.DagsterRunStatus.STARTED if failed else status,
            tags={**job_def.tags, **(tags or {})},
            asset_selection=asset_selection,
        )
        if failed:
            self.instance.report_run_failed(run, "it broke")
            if ended is not None:
                event = dg.DagsterEvent(
                    dg.DagsterEventType.RUN_FAILURE.value,
                    job,
                    event_specific_data=JobFailureData(
                        error=None, failure_reason=RunFailureReason.UNKNOWN, first_step_failure_event=None
                    ),
                )
                self.instance.run_storage.handle_run_event(run.run_id, event, ended)
        return run

    def switch(self, schedule: str, status: InstigatorStatus) -> None:
        """As somebody does in the UI."""
        target = LoadableTargetOrigin(module_name="wolkvox_assets.definitions")
        code_location = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name="wolkvox_assets")
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(code_location, "__repository__"), schedule)
        state = InstigatorState(
            origin, InstigatorType.SCHEDULE, status, ScheduleInstigatorData("1-59/5 * * * *")
        )
        if self.instance.get_instigator_state(state.instigator_origin_id, state.selector_id):
            self.instance.update_instigator_state(state)
        else:
            self.instance.add_instigator_state(state)

    def fill(self, first: date, last: datetime, operation: str = "main") -> None:
        """As if every window from this day to before `last` (wall clock) were known, and empty."""
        with self.project.store.transaction() as con:
            con.execute(
                "INSERT INTO agent_9_window_log SELECT $operation, w, w::DATE, 0, 'asked', now()::TIMESTAMP,"
                " now()::TIMESTAMP, 'made-up'"
                " FROM range($first::TIMESTAMP, $last, INTERVAL 5 MINUTE) AS t(w)",
                {"operation": operation, "first": first, "last": last},
            )

    def forget(self, *stretches: Range) -> None:
        with self.project.store.transaction() as con:
            for stretch in stretches:
                con.execute(
                    "DELETE FROM agent_9_window_log WHERE window_start >= ? AND window_start < ?",
                    [stretch.start, stretch.end],
                )

    def mark(self, stretch: Range, operation: str = "main") -> None:
        """As if these partitions had been materialised: straight into the event log, where each costs 16 ms."""
        key = windows_key(self.operation)
        first = next(stretch.windows())
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(key, partition=f"{first:%Y-%m-%dT%H:%M}")
        )
        storage = self.instance.event_log_storage
        columns = "run_id, event, dagster_event_type, timestamp, asset_key"
        with storage.index_connection() as con:  # type: ignore[attr-defined]  # SQLite's
            raw = con.connection
            like = raw.execute(
                f"SELECT {columns} FROM event_logs WHERE asset_key = ? LIMIT 1", [key.to_string()]
            ).fetchone()
            raw.executemany(
                f"INSERT INTO event_logs ({columns}, partition) VALUES (?, ?, ?, ?, ?, ?)",
                [(*like, f"{window:%Y-%m-%dT%H:%M}") for window in stretch.windows()],
            )
            raw.commit()

    def wall(self, now: datetime | None = None) -> datetime:
        return self.operation.clock.now(now or datetime.now(UTC))

    @property
    def midnight(self) -> datetime:
        """Today's, on the wall clock."""
        return datetime.combine(self.wall().date(), datetime.min.time())

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(self.project.store.published, read_only=True) as con:
            return con.execute(sql).fetchall()


@dataclass
class Webhook:
    """Who takes the messages. `answer`: the status it answers with."""

    url: str
    messages: list[str]
    answer: int = 200


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert list(body) == ["text"]
            found.messages.append(body["text"])
            self.send_response(found.answer)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Webhook(f"http://127.0.0.1:{server.server_port}/hooks/very-secret-address", [])
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def not_while_a_window_closes() -> None:
    """What is live and what is a gap changes each five minutes: not between what a test sets up and looks at."""
    left = 300 - time.time() % 300
    if left < 12:
        time.sleep(left)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Centre(12, profile="around_the_clock")) as simulator:
        yield simulator


@contextmanager
def located(
    folder: Path, simulator: Simulator, start: date, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Location]:
    home = folder / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        location = Location(Project(folder, simulator, start), instance, monkeypatch, {})
        location.reload()
        yield location


@pytest.fixture
def location(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    """History begins three days ago."""
    start = (datetime.now(UTC) - timedelta(hours=5)).date() - 3 * DAY
    with located(tmp_path, simulator, start, monkeypatch) as location:
        yield location


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


__all__ = ["OPERATION", "Clock", "Location", "Tick", "Webhook", "located"]
