"""A code location with an instance on disk and a clock that stands: a test sets its jobs and sensors going."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.api import Asking, ConnectionFailed
from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.automation.live import LIVE
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.pipeline.attempts import scope_of
from wolkvox_assets.pipeline.pauses import remember_failure
from wolkvox_assets.pipeline.reconcile import Site
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range
from wolkvox_assets.settings import Operation, load_settings
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.store.attempts import FailedAttempt, Work, failed_attempts
from wolkvox_assets_tests.alerts.conftest import Webhook, webhook
from wolkvox_assets_tests.project import Project, had_use_before, instance_in

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_ENDINGS = {
    dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterRunStatus.CANCELED: dg.DagsterEventType.RUN_CANCELED,
}


def noon() -> datetime:
    """12:01 in Bogota, the day before yesterday: the simulator knows all about it, and a day after it."""
    return datetime.now(UTC).replace(hour=17, minute=1, second=0, microsecond=0) - 2 * DAY


@dataclass
class Tick:
    """What a schedule or a sensor said."""

    runs: Sequence[dg.RunRequest]
    skipped: str
    cursor: str | None = None


@dataclass
class Location:
    """The code location as the daemon sees it, without the daemon. `now`: what its clock shows."""

    project: Project
    instance: dg.DagsterInstance
    monkeypatch: pytest.MonkeyPatch
    now: datetime = field(default_factory=noon)
    cursors: dict[str, str | None] = field(default_factory=dict)

    def reload(self, **settings: str) -> None:
        for name, value in {**self.project.settings, **settings}.items():
            self.monkeypatch.setenv(name, value)
        self.code = CodeLocation(load_settings(), lambda: self.now)
        self.definitions = build_definitions(self.code)

    @property
    def operation(self) -> Operation:
        return self.code.settings.operations[0]

    def schedule(self) -> Tick:
        schedule = self.definitions.resolve_schedule_def("live_schedule")
        with dg.build_schedule_context(self.instance, scheduled_execution_time=self.now) as context:
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

    # Running, in this process

    def live(self) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(LIVE)
        return job.execute_in_process(instance=self.instance, raise_on_error=False)

    def history(self, request: dg.RunRequest, sensor: str = "main_gaps") -> dg.ExecuteInProcessResult:
        """The run that the sensor wants, as the daemon starts it."""
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=list(request.asset_selection or ()),
            run_config=request.run_config,
            tags={**request.tags, "dagster/sensor_name": sensor},
            raise_on_error=False,
        )

    # As if there had been runs

    def record(
        self,
        status: dg.DagsterRunStatus,
        *,
        job: str = "__ASSET_JOB",
        asset: str | None = "agent_9_windows",
        run_config: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.DagsterRun:
        """A run in Dagster's record, which ended now if it has ended."""
        live = job == LIVE
        definition = (
            self.definitions.resolve_job_def(LIVE)
            if live
            else self.definitions.resolve_implicit_global_asset_job_def()
        )
        run = self.instance.create_run_for_job(
            definition,
            status=dg.DagsterRunStatus.STARTED if status in _ENDINGS else status,
            tags={**definition.tags, **(tags or {})},
            run_config=run_config,
            asset_selection=None if live or asset is None else {dg.AssetKey(["main", asset])},
        )
        if status in _ENDINGS:
            event = dg.DagsterEvent(_ENDINGS[status].value, job)
            self.instance.run_storage.handle_run_event(run.run_id, event, self.now)
        return run

    def fail(
        self, work: Work, error: Exception | None = None, operation: str = "main", run: str = "made-up"
    ) -> None:
        """As if a run had failed with this error now."""

        def nobody(_: Asking) -> None:
            raise AssertionError

        one = next(o for o in self.code.settings.operations if o.name == operation)
        site = Site(one, self.project.store, run, nobody, 1, lambda: self.now)  # type: ignore[arg-type]
        error = error or ConnectionFailed("Nobody there.")
        assert scope_of(error, work) is not None
        remember_failure(site, work, error)

    def open_failures(self, operation: str = "main") -> list[FailedAttempt]:
        with self.project.store.reading() as con:
            return failed_attempts(con, AGENT_9).get(operation, []) if con else []

    # As if something were known

    def fill(self, range_: Range, operation: str = "main") -> None:
        """As if every window of it were known, and empty."""
        with self.project.store.transaction() as con:
            con.execute(
                "INSERT INTO agent_9_window_log SELECT $operation, w, w::DATE, 0, 'asked', $now, $now, 'made-up'"
                " FROM range($first::TIMESTAMP, $last::TIMESTAMP, INTERVAL 5 MINUTE) AS t(w)",
                {
                    "operation": operation,
                    "first": range_.start,
                    "last": range_.end,
                    "now": self.now.replace(tzinfo=None),
                },
            )
            had_use_before(con, operation)

    def forget(self, *ranges: Range) -> None:
        with self.project.store.transaction() as con:
            for range_ in ranges:
                con.execute(
                    "DELETE FROM agent_9_window_log WHERE window_start >= ? AND window_start < ?",
                    [range_.start, range_.end],
                )

    def mark(self, range_: Range) -> None:
        """As if these partitions had been materialised: straight into the event log, where each costs 16 ms."""
        key = windows_key(self.operation)
        first = next(range_.windows())
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
                [(*like, f"{window:%Y-%m-%dT%H:%M}") for window in range_.windows()],
            )
            raw.commit()

    @property
    def midnight(self) -> datetime:
        """Today's, on the wall clock."""
        return datetime.combine(self.operation.clock.now(self.now).date(), datetime.min.time())

    @property
    def live_from(self) -> datetime:
        """Where live windows begin, at noon: what is known before that leaves no gap."""
        return self.midnight + 10 * HOUR + 50 * MINUTE

    @property
    def recent_from(self) -> datetime:
        """What is older is history, and the sensor's."""
        return self.midnight - 3 * DAY


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Centre(12, profile="around_the_clock")) as simulator:
        yield simulator


@contextmanager
def located(
    folder: Path, simulator: Simulator, start: date, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Location]:
    with instance_in(folder / "dagster") as instance:
        location = Location(Project(folder, simulator, start), instance, monkeypatch)
        location.reload()
        yield location


@pytest.fixture
def location(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    """History begins nine days ago."""
    with located(tmp_path, simulator, noon().date() - 9 * DAY, monkeypatch) as location:
        yield location


def write_operations(location: Location) -> None:
    """`north` and `near` share a token, `south` has its own; `main` of the environment is gone."""
    tables = [
        f'[operations.{name}]\nserver = "0013"\ntoken_env = "WOLKVOX_TOKEN_{token}"\n'
        f'start = {location.project.start}\nbase_url = "{location.project.simulator.url}"\n'
        for name, token in (("north", "A"), ("near", "A"), ("south", "B"))
    ]
    file = location.project.folder / "operations.toml"
    file.write_text("\n".join(tables))
    for name in location.project.settings:
        location.monkeypatch.delenv(name, raising=False)
    location.monkeypatch.setattr(Project, "settings", {})
    location.reload(
        WOLKVOX_DATA_DIR=str(location.project.folder / "data"),
        WOLKVOX_OPERATIONS=str(file),
        WOLKVOX_TOKEN_A=location.project.simulator.api.operations[0].tokens[0],
        WOLKVOX_TOKEN_B=location.project.simulator.api.operations[0].tokens[-1],
    )


__all__ = [
    "DAY",
    "HOUR",
    "LIVE",
    "MINUTE",
    "Location",
    "Tick",
    "Webhook",
    "located",
    "noon",
    "webhook",
    "windows_key",
    "write_operations",
]
