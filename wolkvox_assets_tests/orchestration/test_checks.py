"""The checks in Dagster: each way in which data comes in shows them, a fault and its end."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from wolkvox_assets.alerts.news import news
from wolkvox_assets.checks import checks_of, newest_of
from wolkvox_assets.commands.dagster_doctor import failed_checks
from wolkvox_assets.orchestration.automation.alerts import what_is_wrong
from wolkvox_assets.orchestration.automation.run_history import PRUNE
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range
from wolkvox_assets.store.windows import naive_utc
from wolkvox_assets_tests.checks.conftest import DAY, FAULTS, NOW, Loaded, loaded_once, take_out
from wolkvox_assets_tests.orchestration.automation.conftest import HOUR, MINUTE, Location
from wolkvox_assets_tests.project import Project, instance_in, utc_now

pytestmark = pytest.mark.usefixtures("no_pages")

__all__ = ["loaded_once"]

CHECKS, NEWEST = checks_of(AGENT_9), newest_of(AGENT_9)
ALL = {f"{check.asset}/{check.name}" for check in CHECKS}
BLOCKING = {f"{check.asset}/{check.name}" for check in CHECKS if check.blocking}
DAILY = {name for name in ALL if "daily" in name}
NEWEST_IS_RECENT = f"{NEWEST.asset}/{NEWEST.name}"
TOMORROW = DAY + timedelta(days=1)
QUOTA = "agent_9_windows/quota_reserve_kept"
ANSWERS = {"agent_9_windows/answers_as_described", "agent_9_windows/no_merged_names"}
NOTHING: set[str] = set()


@dataclass
class Checked(Location):
    """A code location whose day is loaded, the morning after."""

    loaded: Loaded | None = None

    def put_in(self, *checks: str) -> None:
        with self.project.store.transaction() as con:
            for check in checks or FAULTS:
                con.execute(FAULTS[check][0])

    def take_out(self) -> None:
        assert self.loaded is not None
        with self.project.store.transaction() as con:
            take_out(con, self.loaded.folder)

    def all_passed(self) -> None:
        """As if each check had been evaluated, and had passed."""
        for check in CHECKS:
            passed = dg.AssetCheckEvaluation(dg.AssetKey(["main", check.asset]), check.name, True, {})
            self.instance.report_runless_asset_event(passed)

    def load(self, table: str, first: str, last: str) -> None:
        """A run for a range of partitions."""
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        self.run(asset_selection=[dg.AssetKey(["main", table])], tags=tags)

    def shown(self) -> dict[str, bool]:
        """What Dagster shows of each check: what it last found, where that was of the newest mark."""
        keys = {
            name: dg.AssetCheckKey(dg.AssetKey(["main", name.split("/")[0]]), name.split("/")[1])
            for name in ALL
        }
        records = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys.values()))
        return {
            name: records[key].evaluation.passed  # type: ignore[union-attr]
            for name, key in keys.items()
            if key in records and records[key].status.value != "PLANNED"
        }

    def failed(self) -> set[str]:
        """Of those that are shown; all but the one about the newest window."""
        return {name for name, passed in self.shown().items() if not passed} - {NEWEST_IS_RECENT}

    def run(self, **how: object) -> dg.ExecuteInProcessResult:
        """As the UI and the command line start it: an asset comes with its checks."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=self.instance, raise_on_error=False, **how)  # type: ignore[arg-type]
        assert result.success
        return result


@pytest.fixture
def checked(loaded_once: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checked]:
    shutil.copytree(loaded_once.folder, tmp_path / "data")
    with instance_in(tmp_path / "dagster") as instance:
        project = Project(tmp_path, loaded_once.simulator, DAY)
        location = Checked(project, instance, monkeypatch, NOW + 10 * MINUTE, loaded=loaded_once)
        location.reload()
        yield location


# The ways


def tick(location: Checked) -> None:
    assert location.live().success
    location.now += 5 * MINUTE


def window_range(location: Checked) -> None:
    location.load("agent_9_windows", f"{TOMORROW}T00:00", f"{TOMORROW}T00:10")


def daily(location: Checked) -> None:
    for table in ("agent_hold_mute_daily", "operation_hold_mute_daily"):
        location.run(asset_selection=[dg.AssetKey(["main", table])], partition_key=f"{TOMORROW}")


def on_demand(location: Checked) -> None:
    checks = location.definitions.asset_checks or []
    result = dg.materialize(
        [*(location.definitions.assets or []), *checks],  # type: ignore[list-item]
        selection=dg.AssetSelection.all_asset_checks(),
        resources=location.definitions.resources,
        instance=location.instance,
        raise_on_error=False,
    )
    # Dagster has a run fail in which a check failed that blocks.
    assert result.success is not bool(location.failed() & BLOCKING)


@pytest.mark.parametrize(
    ("way", "shown"),
    [(tick, ALL), (window_range, ALL), (daily, DAILY), (on_demand, ALL)],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_each_fault_is_shown_and_so_is_its_end(
    checked: Checked, way: Callable[[Checked], None], shown: set[str]
) -> None:
    requests = checked.project.simulator.counters.requests
    # A tick with a quota that is used up asks nothing, and shows nothing.
    faults = [fault for fault in FAULTS if way is not tick or fault != QUOTA]
    checked.put_in(*faults)
    way(checked)
    assert checked.shown().keys() == shown
    assert checked.failed() == shown & set(faults)
    checked.take_out()
    way(checked)
    assert checked.shown().keys() == shown
    assert checked.failed() == NOTHING
    if way in (daily, on_demand):
        assert checked.project.simulator.counters.requests == requests


def fill_a_hole(location: Checked) -> None:
    with location.project.store.transaction() as con:
        for table in ("agent_9_windows", "agent_9_window_log"):
            con.execute(f"DELETE FROM {table} WHERE window_start >= '{DAY} 09:30' AND hour(window_start) = 9")
    tick(location)


def verify_a_part(location: Checked) -> None:
    location.load("agent_9_windows", f"{DAY}T09:30", f"{DAY}T09:55")


def rebuild_the_day(location: Checked) -> None:
    location.load("agent_hold_mute_daily", f"{DAY}", f"{DAY}")
    location.load("operation_hold_mute_daily", f"{DAY}", f"{DAY}")


@pytest.mark.parametrize(
    ("way", "shown"), [(fill_a_hole, ALL), (verify_a_part, ALL), (rebuild_the_day, DAILY)]
)
def test_a_run_looks_at_the_days_that_it_touches_and_at_its_own_answers(
    checked: Checked, way: Callable[[Checked], None], shown: set[str]
) -> None:
    """Where all passed last time: else it looks at everything."""
    checked.all_passed()
    checked.put_in(*(fault for fault in FAULTS if fault not in {QUOTA, *ANSWERS}))
    server = checked.project.simulator.api
    server.quirks = frozenset({"extra_columns", "split_agents"})
    try:
        way(checked)
    finally:
        server.quirks = frozenset()
    mended = {"agent_hold_mute_daily/equals_its_windows", "operation_hold_mute_daily/equals_its_windows"}
    mended |= {"operation_hold_mute_daily/equals_its_agents", QUOTA}
    if (
        way is verify_a_part
    ):  # it corrects windows: the API's answer for the day is older than what is stored now
        mended.add("agent_hold_mute_daily/equals_the_api_answer")
    assert checked.failed() == shown & (FAULTS.keys() - mended)


def test_what_failed_is_not_green_again_before_it_was_looked_at(checked: Checked) -> None:
    """A run looks at the days it has touched: as long as a check fails, at everything."""
    tick(checked)
    assert checked.failed() == NOTHING
    fault = "agent_9_windows/plausible_numbers"
    seen = {fault, *FAULTS[fault][1]}
    checked.put_in(fault)
    on_demand(checked)
    assert checked.failed() == seen
    tick(checked)  # it touches another day
    assert checked.failed() == seen
    checked.take_out()
    tick(checked)
    assert checked.failed() == NOTHING


def test_what_the_server_does_is_shown_by_the_tick_that_meets_it(checked: Checked) -> None:
    server = checked.project.simulator.api
    server.quirks = frozenset({"extra_columns", "split_agents"})
    operation = server.operations[0]
    limit, used = operation.daily_limit, operation.used(utc_now()).total()
    try:
        with checked.project.store.transaction() as con:
            con.execute("DELETE FROM quota_readings")
        checked.now += 8 * HOUR  # 12:40: a working day
        checked.fill(Range(checked.midnight, checked.live_from))
        operation.daily_limit = round(used / 0.9)
        tick(checked)
        assert checked.failed() == {QUOTA}  # looked at before anything else was asked
        checked.now += 2 * HOUR
        operation.daily_limit = used
        tick(checked)
        assert checked.failed() == {QUOTA}
        checked.now += 2 * HOUR
        operation.daily_limit = limit
        tick(checked)
        assert checked.failed() == {"agent_9_windows/answers_as_described", "agent_9_windows/no_merged_names"}
    finally:
        server.quirks, operation.daily_limit = frozenset(), limit


# Dagster itself passes it on.
@pytest.mark.filterwarnings("ignore:Parameter `include_sources`:dagster.BetaWarning")
def test_nothing_is_built_on_what_a_blocking_check_refused(checked: Checked) -> None:
    """Neither by an automation condition of Dagster's, nor in a run together with the checks."""
    key = dg.AssetKey(["main", "operation_hold_mute_daily"])

    @dg.asset(deps=[key], automation_condition=dg.AutomationCondition.all_deps_blocking_checks_passed())
    def built_on_it() -> None:
        pass

    definitions = dg.Definitions.merge(checked.definitions, dg.Definitions(assets=[built_on_it]))

    def wanted() -> int:
        return dg.evaluate_automation_conditions(definitions, checked.instance).total_requested

    def built() -> bool:
        checks = dg.AssetSelection.checks_for_assets(key)
        job = dg.define_asset_job("build", selection=checks | dg.AssetSelection.assets(built_on_it))
        resolved = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("build")
        result = resolved.execute_in_process(instance=checked.instance, raise_on_error=False)
        return bool(result.get_asset_materialization_events())

    checked.put_in("operation_hold_mute_daily/closed_days_are_whole")
    tick(checked)
    assert wanted() == 0
    assert not built()
    checked.take_out()
    tick(checked)
    assert wanted() == 1
    assert built()


def test_a_tick_that_stores_less_than_it_wanted_shows_its_checks_too(checked: Checked) -> None:
    checked.reload(WOLKVOX_TOKEN="not-the-token")
    assert not checked.live().success
    assert checked.shown() == {name: name != NEWEST_IS_RECENT for name in checked.shown()}


def test_the_newest_window_is_watched_also_when_no_run_stores_anything(checked: Checked) -> None:
    """Dagster's freshness would be green: there are marks of today, of old windows."""

    def look() -> list[tuple[bool, str]]:
        sensor = checked.definitions.resolve_sensor_def("alerts")
        with dg.build_sensor_context(
            checked.instance, definitions=checked.definitions, sensor_name="alerts"
        ) as context:
            found = sensor.evaluate_tick(context).asset_events
        for event in found:
            checked.instance.report_runless_asset_event(event)
        return [
            (event.passed, event.severity.value)
            for event in found
            if isinstance(event, dg.AssetCheckEvaluation)
        ]

    tick(checked)
    assert checked.shown()[NEWEST_IS_RECENT]
    checked.now += 4 * MINUTE
    assert look() == []
    checked.now += 6 * MINUTE
    assert look() == [(False, "WARN")]
    assert look() == []  # told
    checked.now += 15 * MINUTE
    assert look() == [(False, "ERROR")]
    assert not checked.shown()[NEWEST_IS_RECENT]
    for way in (window_range, on_demand):
        way(checked)
        assert not checked.shown()[NEWEST_IS_RECENT]
    for way in (tick, on_demand):
        way(checked)
        assert checked.shown()[NEWEST_IS_RECENT]


def test_a_check_that_blocks_is_told_by_the_alerts_until_it_passes(checked: Checked) -> None:
    def told() -> list[str]:
        return [
            cause for cause in what_is_wrong(checked.instance, checked.code, checked.now) if "check" in cause
        ]

    tick(checked)
    assert told() == []
    checked.put_in("agent_9_windows/no_negative_numbers")
    on_demand(checked)
    assert "main: check no_negative_numbers of agent_9_windows" in told()
    checked.take_out()
    tick(checked)
    assert told() == []


def test_a_day_that_is_not_whole_is_no_news_while_history_comes_in(checked: Checked) -> None:
    """A first load of a month would send a message otherwise, and another one when it is over. Nor is it over then:
    the last windows of a day come in each night.
    """
    told: dict[str, str] = {}

    def said() -> list[str]:
        nonlocal told
        wrong = what_is_wrong(checked.instance, checked.code, checked.now)
        wrong = {cause: trouble for cause, trouble in wrong.items() if "check" in cause}
        messages, told = news(told, wrong, seen=wrong)
        return messages

    def windows_come_in(which: str) -> None:
        with checked.project.store.transaction() as con:
            now = naive_utc(checked.now)
            con.execute(f"UPDATE agent_9_window_log SET fetched_at = $now WHERE {which}", {"now": now})

    tick(checked)
    checked.put_in("operation_hold_mute_daily/closed_days_are_whole")
    on_demand(checked)
    assert said() == []
    checked.now += 3 * HOUR
    windows_come_in(f"local_date = '{TOMORROW}'")  # as all the time: no history
    [message] = said()
    assert "trouble" in message
    assert "check closed_days_are_whole of operation_hold_mute_daily" in message
    windows_come_in(f"window_start = '{DAY} 23:55'")
    assert said() == []


def test_nor_is_it_a_fault_for_doctor_until_nothing_comes_in_any_more(checked: Checked) -> None:
    tick(checked)
    checked.put_in("operation_hold_mute_daily/closed_days_are_whole")
    on_demand(checked)

    def fine() -> list[bool]:
        return [fine for fine, _ in failed_checks(checked.instance, checked.code.settings, checked.now)]

    assert fine() == [True]
    checked.now += 3 * HOUR
    assert fine() == [False]


def test_that_a_check_passed_again_leaves_no_more(checked: Checked) -> None:
    """What failed stays, and what a person has executed."""
    key = dg.AssetCheckKey(dg.AssetKey(["main", "agent_9_windows"]), "no_negative_numbers")

    def history() -> list[str]:
        found = checked.instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
        return [record.status.value for record in reversed(found)]

    tick(checked)
    tick(checked)
    assert history() == ["SUCCEEDED"]
    checked.put_in("agent_9_windows/no_negative_numbers")
    on_demand(checked)
    checked.take_out()
    tick(checked)
    tick(checked)
    assert history() == ["FAILED", "SUCCEEDED"]
    on_demand(checked)
    tick(checked)
    assert history() == ["FAILED", "SUCCEEDED", "SUCCEEDED"]


def test_a_range_plans_each_check_once_and_with_its_windows(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster would keep a plan for each window and check, for ever, and store each plan by itself."""
    alone: list[dg.DagsterEventType | None] = []
    store_event = SqliteEventLogStorage.store_event

    def watched(storage: SqliteEventLogStorage, event: dg.EventLogEntry) -> None:
        alone.append(event.dagster_event_type)
        store_event(storage, event)

    monkeypatch.setattr(SqliteEventLogStorage, "store_event", watched)
    window_range(checked)
    planned = {
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    }
    assert not planned & set(alone)
    storage = checked.instance.event_log_storage
    (run,) = checked.instance.get_runs(limit=1)
    told = checked.instance.get_records_for_run(run.run_id, of_type=planned).records
    assert len(told) == 3 + len([check for check in CHECKS if check.asset == "agent_9_windows"])
    for check in CHECKS:
        if check.asset == "agent_9_windows":
            key = dg.AssetCheckKey(dg.AssetKey(["main", check.asset]), check.name)
            (record,) = storage.get_asset_check_execution_history(key, limit=9)
            assert record.status.value in {"SUCCEEDED", "FAILED"}
            assert record.partition is None


def test_an_old_tick_keeps_only_the_last_evaluation_of_each_check(checked: Checked) -> None:
    tick(checked)
    tick(checked)
    prune = checked.definitions.resolve_job_def(PRUNE)
    checked.now = utc_now() + timedelta(days=15)
    assert prune.execute_in_process(instance=checked.instance).success
    key = dg.AssetCheckKey(dg.AssetKey(["main", "agent_9_windows"]), NEWEST.name)
    assert len(checked.instance.event_log_storage.get_asset_check_execution_history(key, limit=9)) == 1
    assert checked.shown().keys() == ALL


def test_definitions_say_what_is_fresh_and_what_blocks(checked: Checked) -> None:
    specs = {spec.key.path[-1]: spec for spec in checked.definitions.resolve_all_asset_specs()}
    assert specs["agent_9_windows"].freshness_policy == dg.FreshnessPolicy.time_window(
        30 * MINUTE, 15 * MINUTE
    )
    deadline = dg.FreshnessPolicy.cron("0 3 * * *", 2 * HOUR, "America/Bogota")
    assert specs["agent_hold_mute_daily"].freshness_policy == deadline
    assert specs["operation_hold_mute_daily"].freshness_policy == deadline
    graph = checked.definitions.resolve_asset_graph()
    blocking = {
        f"{key.asset_key.path[-1]}/{key.name}" for key in graph.asset_check_keys if graph.get(key).blocking
    }
    assert blocking == BLOCKING
    assert {f"{key.asset_key.path[-1]}/{key.name}" for key in graph.asset_check_keys} == ALL
    checked.reload(WOLKVOX_FRESH_MINUTES="60")
    specs = {spec.key.path[-1]: spec for spec in checked.definitions.resolve_all_asset_specs()}
    assert specs["agent_9_windows"].freshness_policy == dg.FreshnessPolicy.time_window(2 * HOUR, HOUR)
    checked.reload(WOLKVOX_AUTOMATION="off")  # nothing starts by itself, so nothing is late
    assert {spec.freshness_policy for spec in checked.definitions.resolve_all_asset_specs()} == {None}
