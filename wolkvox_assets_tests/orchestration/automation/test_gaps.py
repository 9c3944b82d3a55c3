"""What the sensor for gaps starts, and what it leaves alone, on a real instance."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from wolkvox_assets.api import TokenRefused
from wolkvox_assets.commands.cli import main
from wolkvox_assets.orchestration.automation import gaps
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.pipeline import quota
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.evidence import leave_out
from wolkvox_assets.store.quota_readings import QuotaReading, record_quota
from wolkvox_assets.store.sources import record
from wolkvox_assets_tests.orchestration.automation.conftest import (
    DAY,
    HOUR,
    LIVE,
    MINUTE,
    Location,
    Tick,
    located,
    noon,
    write_operations,
)
from wolkvox_assets_tests.store.tables import agent_9

pytestmark = pytest.mark.usefixtures("no_pages")

FAILED = dg.DagsterRunStatus.FAILURE
SUCCEEDED = dg.DagsterRunStatus.SUCCESS
STARTED = dg.DagsterRunStatus.STARTED
CANCELED = dg.DagsterRunStatus.CANCELED
OURS = {"dagster/sensor_name": "main_gaps"}


def asked_for(tick: Tick) -> list[Range]:
    """The ranges of the one run that is wanted."""
    assert len(tick.runs) == 1, tick.skipped
    [config] = tick.runs[0].run_config["ops"].values()
    return [Range(*map(datetime.fromisoformat, pair)) for pair in config["config"]["ranges"]]


def all_of(location: Location) -> Range:
    """The history that is the sensor's."""
    return Range(datetime.combine(location.project.start, datetime.min.time()), location.recent_from)


# What is asked for


def test_a_first_start_asks_for_all_history_in_one_run_of_the_asset(location: Location) -> None:
    tick = location.sensor()
    assert asked_for(tick) == [all_of(location)]
    request = tick.runs[0]
    assert request.asset_selection == [windows_key(location.operation)]
    assert request.run_key is None  # which would bar a repeat
    assert {name for name in request.tags if name.startswith("wolkvox/")} == {
        "wolkvox/operation",
        "wolkvox/work",
    }


def test_gaps_are_asked_newest_first_in_one_run_and_then_nothing_is_missing(
    location: Location, simulator: Simulator
) -> None:
    history = all_of(location)
    location.fill(Range(history.start, location.midnight))
    location.mark(Range(history.start, location.midnight))
    assert "every window" in location.sensor().skipped
    holes = [
        Range(history.end - 2 * HOUR, history.end - 2 * HOUR + WINDOW),
        Range(history.end - 3 * DAY + 8 * HOUR, history.end - 3 * DAY + 9 * HOUR),
        Range(history.start, history.start + 10 * MINUTE),
    ]
    location.forget(*holes, Range(location.midnight - DAY, location.midnight - DAY + HOUR))  # the tick's
    tick = location.sensor()
    assert asked_for(tick) == holes
    result = location.history(tick.runs[0])
    assert result.success
    wanted = sorted(window for r in holes for window in r.windows())
    assert location.project.rows() == location.project.true_rows(wanted)
    assert set(wanted) <= set(location.project.known())
    first = next(seen.date_ini for seen in simulator.counters.log if seen.api == "agent_9")
    assert first == f"{holes[0].start:%Y%m%d%H%M%S}"
    assert location.sensor().runs == []
    # It marks each window, and plans none: that would cost minutes for a long history.
    events = location.instance.all_logs(result.run_id)
    planned = [
        entry.get_dagster_event()
        for entry in events
        if entry.is_dagster_event and entry.get_dagster_event().is_asset_materialization_planned
    ]
    assert [event.partition for event in planned] in ([], [None])
    seen = [
        entry.get_dagster_event().step_materialization_data.materialization
        for entry in events
        if entry.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION
    ]
    windows = [e.partition for e in seen if e.asset_key == windows_key(location.operation)]
    assert sorted(map(str, windows)) == [f"{window:%Y-%m-%dT%H:%M}" for window in wanted]
    known = location.project.query("SELECT local_date, windows_known FROM operation_hold_mute_daily")
    days = {day: windows for day, windows in known}  # noqa: C416  # dict() loses the types
    assert {days[hole.start.date()] for hole in holes} == {288}


def test_history_that_the_schedule_loads_alone(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = noon().date() - 2 * DAY
    with located(tmp_path, simulator, start, monkeypatch) as location:
        assert location.sensor().skipped == (
            f"the history of main begins on {start}: live_schedule loads the last 3 days, and there is nothing before"
        )


def test_windows_that_are_known_and_not_marked_are_found_by_the_day(location: Location) -> None:
    history = Range(all_of(location).start, location.midnight)
    location.fill(history)
    yesterday = Range(location.midnight - DAY, location.midnight)
    location.mark(Range(history.start, yesterday.end - WINDOW))
    assert asked_for(location.sensor()) == [yesterday]
    location.mark(Range(yesterday.end - WINDOW, yesterday.end))
    assert "every window" in location.sensor().skipped


def test_the_record_of_marks_is_read_now_and_then_only(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = Range(all_of(location).start, location.midnight)
    location.fill(history)
    location.mark(history)
    reads = []
    read = location.instance.get_materialized_partitions

    def counted(key: dg.AssetKey) -> set[str]:
        reads.append(key)
        return read(key)

    monkeypatch.setattr(location.instance, "get_materialized_partitions", counted)
    for _ in range(5):
        location.sensor()
    assert reads == [windows_key(location.operation)]
    location.now += 31 * MINUTE
    location.sensor()
    assert len(reads) == 2


def test_what_a_run_left_as_it_was_is_not_asked_again_at_once(location: Location) -> None:
    request = location.sensor().runs[0]
    location.record(SUCCEEDED, run_config=request.run_config, tags=OURS)
    assert "left them as they are" in location.sensor().skipped
    location.now += 61 * MINUTE
    assert location.sensor().runs


def test_a_window_that_cannot_be_had_rests_and_keeps_no_other_out(location: Location) -> None:
    bad = Range(location.recent_from - DAY, location.recent_from - DAY + WINDOW)
    with location.project.store.transaction() as con:
        leave_out(agent_9(con), bad, "nonsense", location.now)
    history = all_of(location)
    assert asked_for(location.sensor()) == [Range(bad.end, history.end), Range(history.start, bad.start)]
    location.now += 16 * MINUTE
    assert asked_for(location.sensor()) == [history]


# What it waits for


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, STARTED, dg.DagsterRunStatus.CANCELING])
def test_it_waits_for_a_run_that_asks_for_the_same_operation(
    location: Location, status: dg.DagsterRunStatus
) -> None:
    run = location.record(status)
    assert run.run_id in location.sensor().skipped


def test_it_waits_for_no_tick_and_for_no_totals(location: Location) -> None:
    location.record(STARTED, asset="agent_hold_mute_daily")
    location.record(STARTED, job=LIVE)
    assert location.sensor().runs


def test_it_waits_after_failures_of_its_own_and_while_live_windows_cannot_be_had(location: Location) -> None:
    location.fail(Work.HISTORY)
    assert "one attempt failed (" in location.sensor().skipped
    location.now += MINUTE
    assert location.sensor().runs
    location.fail(Work.LIVE)
    location.now += 59 * MINUTE
    assert "(live) with ConnectionFailed" in location.sensor().skipped
    location.now += MINUTE
    assert location.sensor().runs
    location.fail(Work.RECENT)
    assert location.sensor().runs


def test_a_run_that_somebody_stopped_rests_for_an_hour(location: Location) -> None:
    location.record(CANCELED, tags=OURS)
    location.now += 59 * MINUTE
    assert "stopped by somebody" in location.sensor().skipped
    location.now += 2 * MINUTE
    assert location.sensor().runs


def test_what_is_noted_of_a_run_later_does_not_make_it_rest_longer(location: Location) -> None:
    real = location.now
    location.now -= 70 * MINUTE
    run = location.record(CANCELED, tags=OURS)
    location.now = real
    location.instance.add_run_tags(run.run_id, {"seen_by": "ana"})
    assert location.sensor().runs


def test_a_run_that_is_stopped_while_the_sensor_looks_is_not_started_at_once(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, under_way = location.record(STARTED, tags=OURS), gaps._under_way

    def stopped(*arguments: Any) -> str | None:
        event = dg.DagsterEvent(dg.DagsterEventType.RUN_CANCELED.value, "job")
        location.instance.run_storage.handle_run_event(run.run_id, event, location.now)
        return under_way(*arguments)

    monkeypatch.setattr(gaps, "_under_way", stopped)
    assert "stopped by somebody" in location.sensor().skipped


def test_a_run_that_died_rests_for_ten_minutes(location: Location) -> None:
    location.record(FAILED, tags=OURS)
    location.now += 9 * MINUTE
    assert "died, or could not store anything" in location.sensor().skipped
    location.now += 2 * MINUTE
    assert location.sensor().runs


@pytest.mark.parametrize("status", [FAILED, CANCELED])
def test_what_a_clock_that_was_ahead_has_left_makes_nothing_wait(
    location: Location, status: dg.DagsterRunStatus
) -> None:
    """Runs that ended in the future: the clock was set back since."""
    location.now += 6 * HOUR
    location.record(status, tags=OURS)
    location.fail(Work.HISTORY)
    location.fail(Work.LIVE, TokenRefused("No."))
    location.sensor()
    location.now -= 6 * HOUR
    assert location.sensor().runs


def test_a_failed_run_is_remembered_and_after_a_change_of_token_history_comes_at_once(
    location: Location, simulator: Simulator
) -> None:
    location.project.start = location.recent_from.date() - DAY
    location.reload(WOLKVOX_TOKEN="not-the-token")
    result = location.history(location.sensor().runs[0])
    assert not result.success
    assert simulator.counters.requests == 1
    assert [failed.work for failed in location.open_failures()] == [Work.HISTORY]
    assert "TokenRefused" in location.sensor().skipped
    location.reload()
    # Not taken for a run that died, whenever it ended.
    ended = location.instance.get_run_records()[0].end_time
    assert ended is not None
    location.now = datetime.fromtimestamp(ended, location.now.tzinfo) + timedelta(seconds=1)
    assert location.sensor().runs


def test_stored_data_of_another_server_is_like_a_wrong_token_until_it_is_out_of_the_way(
    location: Location, capsys: pytest.CaptureFixture[str]
) -> None:
    history = all_of(location)
    location.fill(Range(history.start, history.end - HOUR))
    with location.project.store.transaction() as con:
        record(con, "main", location.operation.source)
    with Simulator(Centre(12, profile="around_the_clock")) as other:
        location.reload(WOLKVOX_BASE_URL=other.url)
        assert not location.history(location.sensor().runs[0]).success
        assert other.counters.requests == 0
        assert "OtherSource" in location.sensor().skipped
        with pytest.raises(SystemExit) as end:
            main(["source", "main", "--drop"])
        assert end.value.code == 0
        assert location.sensor().runs


def test_a_run_without_a_partition_and_without_ranges_says_what_to_choose(location: Location) -> None:
    result = location.history(dg.RunRequest(asset_selection=[windows_key(location.operation)]))
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    said = failure.step_failure_data.user_failure_data
    assert said is not None
    assert "Choose partitions, or set ranges" in str(said.description)


# Several operations, and the quota


def test_two_operations_do_not_pause_each_other(location: Location) -> None:
    write_operations(location)
    location.fail(Work.HISTORY, TokenRefused("No."), "north")
    assert location.sensor("north_gaps").skipped
    assert location.sensor("near_gaps").runs
    assert location.sensor("south_gaps").runs


def saw(location: Location, operation: str, used: int) -> None:
    """As if a run had looked a moment ago; of 1000 requests a day."""
    source = next(one.source for one in location.code.settings.operations if one.name == operation)
    with location.project.store.transaction() as con:
        record(con, operation, source)
        record_quota(con, operation, QuotaReading(location.now, 1000, used), run_id="made-up")


def test_what_is_left_of_the_quota_is_for_live_windows(
    location: Location, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota.Share, "kept_for_live", lambda share, *_: 100 * share.live)
    saw(location, "main", used=750)
    assert "quota of main is used up but for live windows" in location.sensor().skipped
    location.now += 61 * MINUTE  # it is looked at again
    request = location.sensor().runs[0]
    simulator.api.operations[0].daily_limit = 1000
    simulator.api.operations[0].spend(650, datetime.now(UTC))  # on the server's day
    result = location.history(request)
    assert result.success
    assert 30 <= simulator.counters.requests <= 52
    assert "quota" in location.sensor().skipped
    location.project.simulator.reset_counters()
    assert location.live().success
    assert simulator.counters.by_api["agent_9"] >= 14


def test_operations_of_one_server_share_its_quota(location: Location) -> None:
    write_operations(location)
    for operation in ("north", "near", "south"):
        saw(location, operation, used=10)
    assert location.sensor("north_gaps").runs
    saw(location, "south", used=850)
    for operation in ("north", "near", "south"):
        assert "quota" in location.sensor(f"{operation}_gaps").skipped


# Speed


def seconds(what: Callable[[], object]) -> float:
    """Of the fastest of three, since others use this machine too."""
    found = []
    for _ in range(3):
        began = time.process_time()
        what()
        found.append(time.process_time() - began)
    return min(found)


@pytest.fixture
def year(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    with located(tmp_path, simulator, noon().date() - 365 * DAY, monkeypatch) as location:
        location.fill(Range(all_of(location).start, location.midnight))
        yield location


def test_600_windows_missing_in_20_places_of_a_year_are_one_run_and_found_at_once(year: Location) -> None:
    year.mark(Range(all_of(year).start, year.midnight))
    assert "every window" in year.sensor().skipped
    assert seconds(year.sensor) < 0.5
    places = [
        Range(at, at + 30 * WINDOW)
        for n in range(20)
        for at in [year.midnight - (15 * n + 4) * DAY + 9 * HOUR]
    ]
    year.forget(*places)
    assert asked_for(year.sensor()) == places
    assert seconds(year.sensor) < 2
