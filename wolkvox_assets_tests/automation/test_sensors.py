"""What the schedule and the sensor for gaps start, and what they leave alone, on a real instance."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._daemon.types import DaemonHeartbeat
from wolkvox_assets.assets.live_schedule import with_live_windows

from wolkvox_assets import duties, quota
from wolkvox_assets.api import Answer, AnswerUnreadable, WolkvoxClient
from wolkvox_assets.assets.partitions import windows_key
from wolkvox_assets.assets.run_tags import EVERYTHING, PERMANENT, THESE_WINDOWS, serves
from wolkvox_assets.automation import runs
from wolkvox_assets.cli import main
from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.quota import LOOK_EVERY, quota_waits
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Simulator, Use
from wolkvox_assets.store.evidence import leave_out
from wolkvox_assets.store.quota_readings import QuotaReading, record_quota
from wolkvox_assets.store.sources import record
from wolkvox_assets.windows import WINDOW, Range, one
from wolkvox_assets_tests.automation.conftest import DAY, Clock, Location, Tick, located

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FAILED = dg.DagsterRunStatus.FAILURE
SUCCEEDED = dg.DagsterRunStatus.SUCCESS
STARTED = dg.DagsterRunStatus.STARTED
LIVE, CATCH_UP = "main_live", "main_catch_up"

# Dagster says so of sensors that nobody gave owners.
pytestmark = pytest.mark.filterwarnings("ignore:Parameter `owners`:dagster.BetaWarning")


def asked_for(tick: Tick) -> list[Range]:
    """The ranges of the one run that is wanted."""
    assert len(tick.runs) == 1, tick.skipped
    assert tick.runs[0].run_key is None  # which would bar a repeat
    pairs = tick.runs[0].run_config["ops"]["main_fill"]["config"]["ranges"]
    return [Range(*map(datetime.fromisoformat, pair)) for pair in pairs]


def windows_of(*ranges: Range) -> list[datetime]:
    return sorted(window for r in ranges for window in r.windows())


def live_from(location: Location, now: datetime | None = None) -> datetime:
    """Where live windows begin, on the wall clock: what is known before that leaves no gap."""
    now = (now or datetime.now(UTC)) - 70 * MINUTE
    return location.wall(now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0))


# Gaps


def test_a_first_start_asks_for_all_history_in_one_run(location: Location) -> None:
    start = datetime.combine(location.project.start, datetime.min.time())
    assert asked_for(location.sensor()) == [Range(start, live_from(location))]


def test_gaps_are_asked_newest_first_in_one_run_and_then_nothing_is_missing(location: Location) -> None:
    start = location.project.start
    end = max(live_from(location), location.midnight)
    location.fill(start, end)
    location.mark(Range(location.midnight - 3 * DAY, location.midnight))
    assert "every window" in location.sensor().skipped
    holes = [
        Range(location.midnight - 3 * DAY, location.midnight - 3 * DAY + 10 * MINUTE),
        Range(location.midnight - 2 * DAY + 8 * HOUR, location.midnight - 2 * DAY + 9 * HOUR),
        Range(location.midnight - 2 * HOUR, location.midnight - 2 * HOUR + 5 * MINUTE),
    ]
    location.forget(*holes)
    tick = location.sensor()
    assert asked_for(tick) == holes[::-1]
    # What is asked for is fetched, exact, and what Dagster shows.
    result = location.execute(CATCH_UP, tick.runs[0])
    assert result.success
    wanted = windows_of(*holes)
    assert location.project.rows() == location.project.true_rows(wanted)
    assert location.project.known() == windows_of(Range(location.midnight - 3 * DAY, end))
    assert location.sensor().runs == []
    # The totals of those days follow.
    days = location.query("SELECT local_date, windows_known FROM operation_hold_mute_daily ORDER BY 1")
    assert [row[0] for row in days][:3] == [start, start + DAY, start + 2 * DAY]
    assert [row[1] for row in days][:3] == [288] * 3


def test_windows_that_are_known_and_not_marked_are_found_by_the_day(location: Location) -> None:
    location.fill(location.project.start, max(live_from(location), location.midnight))
    yesterday = Range(location.midnight - DAY, location.midnight)
    before = Range(location.midnight - 3 * DAY, yesterday.start)
    location.mark(before)
    location.mark(Range(yesterday.start, yesterday.end - WINDOW))
    assert asked_for(location.sensor()) == [yesterday]
    location.mark(Range(yesterday.end - WINDOW, yesterday.end))
    assert "every window" in location.sensor().skipped


def test_the_record_of_marks_is_read_now_and_then_only(
    location: Location, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    location.fill(location.project.start, max(live_from(location), location.midnight))
    location.mark(Range(location.midnight - 3 * DAY, location.midnight))
    reads = []
    read = location.instance.get_materialized_partitions

    def counted(key: dg.AssetKey) -> set[str]:
        reads.append(key)
        return read(key)

    monkeypatch.setattr(location.instance, "get_materialized_partitions", counted)
    for _ in range(5):
        location.sensor()
    assert reads == [windows_key(location.operation)]
    now = datetime.now(UTC)
    location.fill(location.wall(now).date(), live_from(location, now + 31 * MINUTE))
    clock.set(now + 31 * MINUTE)
    location.sensor()
    assert len(reads) == 2


def test_what_a_run_left_as_it_was_is_not_asked_again_at_once(location: Location, clock: Clock) -> None:
    location.fill(location.project.start, max(live_from(location), location.midnight))
    hole = Range(location.midnight - DAY, location.midnight - DAY + HOUR)
    location.forget(hole)
    tick = location.sensor()
    location.record(CATCH_UP, SUCCEEDED, tags={"wolkvox/ranges": tick.runs[0].tags["wolkvox/ranges"]})
    assert "left them as they are" in location.sensor().skipped
    now = datetime.now(UTC) + 61 * MINUTE
    location.fill(location.wall().date(), live_from(location, now))
    location.forget(hole)
    clock.set(now)
    assert hole in asked_for(location.sensor())


@pytest.mark.parametrize("how", ["backfill", "catch_up", "verify_recent"])
def test_gaps_wait_for_a_run_that_asks_for_the_same_operation(location: Location, how: str) -> None:
    if how == "backfill":
        selection = {windows_key(location.operation)}
        run = location.record("__ASSET_JOB", STARTED, asset_selection=selection)
    else:
        run = location.record(CATCH_UP if how == "catch_up" else how, dg.DagsterRunStatus.NOT_STARTED)
    assert run.run_id in location.sensor().skipped
    location.instance.report_run_failed(run)
    if how == "catch_up":
        assert "next try after" in location.sensor().skipped
    else:
        assert location.sensor().runs


def test_a_run_of_totals_holds_up_nothing(location: Location) -> None:
    location.record("__ASSET_JOB", STARTED, asset_selection={dg.AssetKey(["main", "agent_hold_mute_daily"])})
    assert location.sensor().runs
    assert location.schedule().runs


# Speed


@pytest.fixture
def year(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    start = (datetime.now(UTC) - timedelta(hours=5)).date() - 365 * DAY
    with located(tmp_path, simulator, start, monkeypatch) as location:
        location.fill(start, live_from(location))
        yield location


def seconds(what: Callable[[], object]) -> float:
    """Of the fastest of three, since others use this machine too."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        what()
        found.append(time.perf_counter() - began)
    return min(found)


def test_a_tick_with_a_year_of_history_takes_less_than_half_a_second(year: Location) -> None:
    year.mark(Range(year.midnight - 365 * DAY, year.midnight))
    assert "every window" in year.sensor().skipped
    assert seconds(year.sensor) < 0.5
    assert "every window" in year.sensor().skipped

    def with_marks() -> None:
        year.cursors.clear()
        assert "every window" in year.sensor().skipped

    # Twice an hour Dagster's record is read as well.
    assert seconds(with_marks) < 1.5


def test_600_windows_missing_in_20_places_are_two_runs_the_last_days_first(year: Location) -> None:
    places = [
        Range(at, at + 30 * WINDOW)
        for n in range(20)
        for at in [year.midnight - (15 * n + 3) * DAY + 9 * HOUR]
    ]
    year.forget(*places)
    assert asked_for(year.sensor()) == places[:1]
    assert seconds(year.sensor) < 2
    year.fill(places[0].start, places[0].end)
    assert asked_for(year.sensor()) == places[1:]
    assert seconds(year.sensor) < 2


# Pauses after failures


def offered(location: Location, clock: Clock, at: datetime, job: str) -> bool:
    clock.set(at)
    return bool((location.schedule() if job == LIVE else location.sensor()).runs)


def test_pauses_after_failures_grow_and_end_with_a_success(location: Location, clock: Clock) -> None:
    at = datetime.now(UTC)
    for minutes in (1, 2, 4, 8, 16, 30, 30):
        location.record(LIVE, FAILED, ended=at)
        assert not offered(location, clock, at + minutes * MINUTE - timedelta(seconds=2), LIVE)
        assert not offered(location, clock, at + minutes * MINUTE, CATCH_UP)  # one that tries is enough
        at += minutes * MINUTE + timedelta(seconds=1)
        assert offered(location, clock, at, LIVE)
    location.record(LIVE, SUCCEEDED)
    assert offered(location, clock, at, LIVE)
    assert offered(location, clock, at, CATCH_UP)


def test_failing_gaps_never_hold_up_live_windows(location: Location, clock: Clock) -> None:
    at = datetime.now(UTC)
    for minutes in (1, 2, 4):
        location.record(CATCH_UP, FAILED, ended=at)
        assert not offered(location, clock, at + minutes * MINUTE - timedelta(seconds=2), CATCH_UP)
        assert offered(location, clock, at, LIVE)
        at += minutes * MINUTE + timedelta(seconds=1)
        assert offered(location, clock, at, CATCH_UP)


def test_a_day_has_a_limit_for_gaps_and_none_for_live_windows(
    location: Location, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs.ATTEMPTS_A_DAY == 30
    monkeypatch.setattr(runs, "ATTEMPTS_A_DAY", 6)
    now = datetime.now(UTC)
    for _ in range(runs.ATTEMPTS_A_DAY):
        location.record(CATCH_UP, FAILED, ended=now)
    clock.set(now + 10 * HOUR)
    said = location.sensor().skipped
    assert "6 runs of main_catch_up have failed" in said
    assert "Start it by hand" in said
    assert offered(location, clock, now + 25 * HOUR, CATCH_UP)
    for _ in range(runs.ATTEMPTS_A_DAY):
        location.record(LIVE, FAILED, ended=now)
    assert offered(location, clock, now + HOUR, LIVE)


def test_three_hours_of_outage_are_a_dozen_runs_and_then_it_goes_on_by_itself(
    location: Location, clock: Clock
) -> None:
    began = now = datetime.now(UTC)
    tries: list[datetime] = []
    while now < began + 3 * HOUR:
        clock.set(now)
        for job, tick in ((LIVE, location.schedule), (CATCH_UP, location.sensor)):
            if tick().runs:
                location.record(job, FAILED, ended=now)
                tries.append(now)
        now += 5 * MINUTE
    assert 5 <= len(tries) <= 14
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[-1] >= 30 * MINUTE
    assert sum(pauses[: len(pauses) // 2], timedelta()) < sum(pauses[len(pauses) // 2 :], timedelta())
    # The server is back: within half an hour it is tried, and then gaps come at once.
    while not offered(location, clock, now, LIVE):
        now += 5 * MINUTE
    assert now <= began + 3 * HOUR + 35 * MINUTE
    location.record(LIVE, SUCCEEDED)
    assert offered(location, clock, now + 31 * MINUTE, CATCH_UP)


# A wrong token


def test_a_wrong_token_is_one_failed_run_and_a_long_pause_for_all(
    location: Location, simulator: Simulator, clock: Clock
) -> None:
    location.reload(WOLKVOX_TOKEN="not-the-token")
    assert not location.execute(CATCH_UP, location.sensor().runs[0]).success
    asked = simulator.counters.requests
    assert asked <= 2
    failed = location.instance.get_runs()[0]
    assert failed.tags["wolkvox/permanent"] == EVERYTHING
    assert failed.tags["wolkvox/cause"] == "TokenRefused"
    now = datetime.now(UTC)
    for minutes in range(0, 15, 2):
        assert not offered(location, clock, now + minutes * MINUTE, LIVE)
        assert not offered(location, clock, now + minutes * MINUTE, CATCH_UP)
    assert offered(location, clock, now + 16 * MINUTE, LIVE)
    # Loading the code location anew mends nothing (`dagster-daemon run` does it every minute).
    location.reload(WOLKVOX_TOKEN="not-the-token")
    assert not offered(location, clock, now + 2 * MINUTE, LIVE)
    # Mended: at once.
    location.reload()
    assert offered(location, clock, now + 2 * MINUTE, LIVE)
    assert location.execute(LIVE).success
    assert len(location.project.known()) >= 13
    assert offered(location, clock, now + 2 * MINUTE, CATCH_UP)


def test_stored_data_of_another_server_is_like_a_wrong_token_until_it_is_out_of_the_way(
    location: Location, simulator: Simulator, clock: Clock
) -> None:
    assert location.execute(LIVE).success
    known = len(location.project.known())
    with Simulator(Centre(12, profile="around_the_clock")) as other:
        location.reload(WOLKVOX_BASE_URL=other.url)
        assert not location.execute(CATCH_UP, location.sensor().runs[0]).success
        assert other.counters.requests == 0
        now = datetime.now(UTC)
        assert not offered(location, clock, now + 2 * MINUTE, LIVE)
        assert not offered(location, clock, now + 2 * MINUTE, CATCH_UP)
        with pytest.raises(SystemExit) as end:
            main(["source", "main", "--drop"])
        assert end.value.code == 0
        assert offered(location, clock, now + 2 * MINUTE, LIVE)
        assert location.execute(LIVE).success
        assert other.counters.requests >= known


def test_pauses_after_what_does_not_pass_by_itself_grow_to_four_hours(
    location: Location, clock: Clock
) -> None:
    at = datetime.now(UTC)
    refused = {PERMANENT: EVERYTHING, runs.ACCESS: runs.access(location.operation, location.project.store)}
    for minutes in (15, 30, 60, 120, 240, 240):
        location.record(LIVE, FAILED, ended=at, tags=refused)
        for job in (LIVE, CATCH_UP):
            assert not offered(location, clock, at + minutes * MINUTE - timedelta(seconds=2), job)
        at += minutes * MINUTE + timedelta(seconds=1)
        assert offered(location, clock, at, LIVE)


def test_an_answer_that_cannot_be_read_pauses_only_the_job_that_met_it(
    location: Location, clock: Clock
) -> None:
    now = datetime.now(UTC)
    location.record(CATCH_UP, FAILED, ended=now, tags={PERMANENT: THESE_WINDOWS})
    assert offered(location, clock, now, LIVE)
    assert not offered(location, clock, now, CATCH_UP)
    location.record(LIVE, FAILED, ended=now, tags={PERMANENT: THESE_WINDOWS})
    assert offered(location, clock, now, LIVE)  # the newest windows don't wait for a bad one


def test_one_live_window_that_cannot_be_read_holds_up_no_gaps(location: Location) -> None:
    location.record(LIVE, FAILED, tags={PERMANENT: THESE_WINDOWS})
    assert location.sensor().runs
    location.record(LIVE, FAILED)
    assert "gaps wait" in location.sensor().skipped


def test_a_window_of_the_last_days_that_cannot_be_read_keeps_no_history_out(
    location: Location, clock: Clock
) -> None:
    bad = Range(location.midnight - DAY + 10 * HOUR, location.midnight - DAY + 10 * HOUR + WINDOW)
    old = Range(location.midnight - 9 * DAY, location.midnight - 8 * DAY)
    location.project.start = location.wall().date() - 9 * DAY
    location.reload()
    now = datetime.now(UTC)
    location.fill(location.project.start, live_from(location, now + 2 * MINUTE))
    location.mark(Range(location.midnight - 9 * DAY, location.midnight))
    location.forget(bad, old)
    assert asked_for(location.sensor()) == [bad]
    location.record(CATCH_UP, FAILED, ended=now, tags={PERMANENT: THESE_WINDOWS})
    with location.project.store.transaction() as con:
        leave_out(con, "main", bad, "nonsense", now)
    clock.set(now + 2 * MINUTE)
    assert asked_for(location.sensor()) == [old]
    clock.set(now + 16 * MINUTE)
    assert bad in asked_for(location.sensor())


def test_runs_over_history_serve_live_windows_where_their_schedule_is_on_whoever_switched_it(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(location)
    operations = load_settings().operations

    def served() -> list[str]:
        return [o.name for o in with_live_windows(location.instance, load_settings(), operations)]

    assert served() == ["main"]
    for status, automation, expected in (
        (InstigatorStatus.STOPPED, "on", []),
        (InstigatorStatus.RUNNING, "off", ["main"]),
    ):
        monkeypatch.setenv("WOLKVOX_AUTOMATION", automation)
        location.switch("main_live_schedule", status)
        assert served() == expected


def test_an_old_failure_of_live_windows_whose_schedule_is_off_holds_up_no_gaps(
    location: Location, clock: Clock
) -> None:
    now = datetime.now(UTC)
    location.record(LIVE, FAILED, ended=now)
    assert not offered(location, clock, now + 59 * MINUTE, CATCH_UP)
    assert offered(location, clock, now + 61 * MINUTE, CATCH_UP)


def test_a_run_by_hand_that_gets_windows_ends_the_pause_after_a_refused_token(
    location: Location, clock: Clock
) -> None:
    now = datetime.now(UTC) - HOUR
    refused = {PERMANENT: EVERYTHING, runs.ACCESS: runs.access(location.operation, location.project.store)}
    for _ in range(4):
        location.record(LIVE, FAILED, ended=now, tags=refused)
    assert not offered(location, clock, now + HOUR, LIVE)
    location.record("__ASSET_JOB", SUCCEEDED, asset_selection={windows_key(location.operation)})
    assert offered(location, clock, now + HOUR, LIVE)


def test_a_catch_up_that_somebody_stopped_rests_for_an_hour(location: Location, clock: Clock) -> None:
    run = location.record(CATCH_UP, STARTED)
    location.instance.report_run_canceling(run)
    location.instance.report_run_canceled(run)
    now = datetime.now(UTC)
    assert not offered(location, clock, now + 59 * MINUTE, CATCH_UP)
    assert "stopped by somebody" in location.sensor().skipped
    assert offered(location, clock, now + 59 * MINUTE, LIVE)
    assert offered(location, clock, now + 61 * MINUTE, CATCH_UP)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_what_a_clock_that_was_ahead_has_left_makes_nothing_wait(
    location: Location, clock: Clock, status: dg.DagsterRunStatus
) -> None:
    """Runs that failed, or were stopped, in the future: the clock was set back since."""
    ended = datetime.now(UTC)
    for job in ("main_live", "main_catch_up"):
        location.record(job, status, ended=ended)
    location.sensor()
    clock.set(ended - timedelta(hours=6))
    assert location.schedule().runs
    assert location.sensor().runs


def test_two_operations_do_not_pause_each_other(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_operations(location, tmp_path, monkeypatch)
    refused = {PERMANENT: EVERYTHING, runs.ACCESS: runs.access(location.operation, location.project.store)}
    location.record("north_live", FAILED, tags=refused)
    assert location.schedule("north").skipped
    assert location.sensor("north_gaps").skipped
    assert location.schedule("south").runs
    assert location.sensor("south_gaps").runs


# The token's other runs


def write_operations(location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`north` and `near` share a token, `south` has its own; `main` of the environment is gone."""
    tables = [
        f'[operations.{name}]\nserver = "0013"\ntoken_env = "WOLKVOX_TOKEN_{token}"\n'
        f'start = {location.project.start}\nbase_url = "{location.project.simulator.url}"\n'
        for name, token in (("north", "A"), ("near", "A"), ("south", "B"))
    ]
    file = tmp_path / "operations.toml"
    file.write_text("\n".join(tables))
    for name in location.project.settings:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WOLKVOX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WOLKVOX_OPERATIONS", str(file))
    monkeypatch.setenv("WOLKVOX_TOKEN_A", "token-a")
    monkeypatch.setenv("WOLKVOX_TOKEN_B", "token-b")
    location.definitions = build_definitions(load_settings())


def test_live_runs_do_not_pile_up_behind_a_run_that_serves_live_windows(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    write_operations(location, tmp_path, monkeypatch)
    run = location.record("north_catch_up", dg.DagsterRunStatus.NOT_STARTED)
    # It was created a moment ago, and begins with live windows: a second run would only wait for it.
    for name in ("north", "near"):
        assert run.run_id in location.schedule(name).skipped
    clock.set(datetime.now(UTC) + 3 * MINUTE)
    # It may wait for its place in the pool, or serve nobody: from now on only what it says itself counts.
    for name in ("north", "near"):
        assert location.schedule(name).runs
    now = datetime.now(UTC)
    clock.set(now)
    location.instance.add_run_tags(run.run_id, {serves(name): now.isoformat() for name in ("north", "near")})
    for name in ("north", "near"):
        assert run.run_id in location.schedule(name).skipped
    assert location.schedule("south").runs
    assert location.sensor("south_gaps").runs
    # It has not said so for long: it hangs.
    clock.set(now + 8 * MINUTE)
    for name in ("north", "near"):
        assert location.schedule(name).runs


def test_one_live_run_at_a_time(location: Location) -> None:
    run = location.record(LIVE, dg.DagsterRunStatus.NOT_STARTED)
    assert run.run_id in location.schedule().skipped
    location.instance.report_run_failed(run)


# Quota


def test_a_used_up_quota_waits_and_is_looked_at_again_within_the_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    with Simulator(Centre(12), daily_limit=1000) as simulator:
        start = (datetime.now(UTC) - timedelta(hours=5)).date() - DAY
        with located(tmp_path, simulator, start, monkeypatch) as location:
            simulator.api.operations[0].spend(1000, datetime.now(UTC))  # by someone else
            assert location.execute(LIVE).success  # nothing is wrong
            assert simulator.counters.requests <= 2
            until = quota_waits(location.project.store, location.operation, datetime.now(UTC))
            assert until is not None
            assert until <= datetime.now(UTC) + LOOK_EVERY
            for _ in range(3):
                assert f"again after {until:%Y-%m-%d %H:%M:%S} UTC" in location.schedule().skipped
                assert f"again after {until:%Y-%m-%d %H:%M:%S} UTC" in location.sensor().skipped
            clock.set(until)
            assert location.schedule().runs
            assert location.sensor().runs
            assert simulator.counters.requests <= 2


def test_requests_held_back_for_live_windows_are_there_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History stops in time; live windows go on."""
    with Simulator(Centre(12, profile="around_the_clock"), daily_limit=1000) as simulator:
        start = (datetime.now(UTC) - timedelta(hours=5)).date() - DAY
        with located(tmp_path, simulator, start, monkeypatch) as location:
            need = 100  # at any time of the day
            monkeypatch.setattr(quota, "kept_for_live", lambda _, __, ___, live: need * live)
            left = need + 60
            simulator.api.operations[0].spend(800 - left, datetime.now(UTC))
            alive(location)
            assert location.execute(CATCH_UP, location.sensor().runs[0]).success
            known = location.project.known()
            history = [window for window in known if window < live_from(location)]
            assert 20 <= len(history) <= 60  # what live windows can do without
            assert len(known) - len(history) >= 13  # and live windows meanwhile
            assert simulator.counters.requests <= left - need + 5
            assert "quota" in location.sensor().skipped  # history waits for tomorrow
            assert location.schedule().runs  # live windows don't
            simulator.reset_counters()
            location.forget(Range(known[-1], known[-1] + WINDOW))
            assert location.execute(LIVE).success
            assert known[-1] in location.project.known()


def alive(location: Location) -> None:
    """As if the daemon carried out schedules."""
    location.instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SCHEDULER", "made-up"))


def test_a_run_over_history_serves_live_windows_first_and_gaps_of_the_last_days_on_the_way(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "next_live", lambda now, _: now)  # a window closes whenever it looks
    simulator.faults.latency = 0.02
    start = (datetime.now(UTC) - timedelta(hours=5)).date() - 9 * DAY
    with located(tmp_path, simulator, start, monkeypatch) as location:
        location.fill(start + DAY, live_from(location))  # the first day is the history that is missing
        gap = Range(location.midnight - DAY + 9 * HOUR, location.midnight - DAY + 10 * HOUR)
        location.forget(gap)
        alive(location)
        history = Range(location.midnight - 9 * DAY, location.midnight - 8 * DAY)
        pair = [f"{history.start:%Y-%m-%dT%H:%M}", f"{history.end:%Y-%m-%dT%H:%M}"]
        request = dg.RunRequest(run_config={"ops": {"main_fill": {"config": {"ranges": [pair]}}}}, tags={})
        assert location.execute(CATCH_UP, request).success
        asked = [seen.date_ini for seen in simulator.counters.log if seen.api == "agent_9"]

        def places(r: Range) -> list[int]:
            wanted = {f"{window:%Y%m%d%H%M%S}" for window in r.windows()}
            return [n for n, date_ini in enumerate(asked) if date_ini in wanted]

        live = places(Range(live_from(location), location.wall()))
        assert 13 <= len(live) <= 15
        assert max(live[:13]) < min(places(history)) < min(places(gap))
        assert max(places(gap)) < max(places(history))
        known = location.project.known()
        assert set(gap.windows()) | set(history.windows()) <= set(known)
        # The live schedule steps back while this run serves.
        run = location.instance.get_runs(filters=dg.RunsFilter(job_name=CATCH_UP))[0]
        assert serves("main") in run.tags


def test_what_fails_on_the_way_does_not_keep_the_run_from_its_own_windows(
    location: Location, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gap that can't be filled, of an operation that shares the token: that is left for later."""
    alive(location)
    tick = location.sensor()

    def broken(*_: object, **__: object) -> list[Range]:
        raise dg.Failure("nothing to be had here")

    monkeypatch.setattr("wolkvox_assets.assets.keep_fresh.duties.gaps", broken)
    assert location.execute(CATCH_UP, tick.runs[0]).success
    assert set(windows_of(*asked_for(tick))) <= set(location.project.known())


def unreadable(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, *windows: datetime) -> None:
    """As if no answer could be read that has anything of these windows in it."""
    ask = WolkvoxClient.agent_9

    def agent_9(client: WolkvoxClient, stretch: Range, /, *, requests: int | None = None) -> Answer:
        answer = ask(client, stretch, requests=requests)
        if any(stretch.start <= window < stretch.end for window in windows):
            raise AnswerUnreadable("nonsense", agent="Ana", column="hold_time")
        return answer

    monkeypatch.setattr(WolkvoxClient, "agent_9", agent_9)


def test_a_window_that_cannot_be_read_keeps_no_late_record_from_being_found(
    location: Location, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a live run: another live window, and the verification of days that have closed; also while a window
    closes at every look."""
    monkeypatch.setattr(duties, "next_live", lambda now, _: now)
    location.project.start = location.wall().date() - DAY
    location.reload()
    yesterday = Range(location.midnight - DAY, location.midnight)
    location.fill(location.project.start, max(live_from(location), location.midnight))
    with location.project.store.transaction() as con:  # known as empty, and long ago
        con.execute(
            "UPDATE agent_9_window_log SET verified_at = TIMESTAMP '2020-01-01', fetched_at = verified_at"
        )
    bad = live_from(location) + 3 * WINDOW
    location.forget(one(bad))
    unreadable(simulator, monkeypatch, bad)
    result = location.execute(LIVE)
    assert not result.success
    run = location.instance.get_runs()[0]
    assert run.tags[PERMANENT] == THESE_WINDOWS
    assert location.schedule().runs  # the newest windows don't wait
    assert bad not in location.project.known()
    if location.wall() > location.midnight + HOUR:
        stored = [row for row in location.project.rows() if row[0] < location.midnight]
        assert stored == location.project.true_rows(yesterday.windows())


def test_a_known_window_that_cannot_be_read_any_more_rests(
    location: Location, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    noon = datetime(2026, 11, 18, 17, 1, tzinfo=UTC)  # 12:01 on a Wednesday
    location.project.start = date(2026, 11, 17)
    location.reload()
    location.fill(location.project.start, datetime(2026, 11, 18, 12))
    with location.project.store.transaction() as con:
        con.execute("UPDATE agent_9_window_log SET verified_at = window_start, fetched_at = window_start")
    simulator.centre.silence(datetime(2026, 11, 17), datetime(2026, 11, 19))
    unreadable(simulator, monkeypatch, datetime(2026, 11, 17, 9, 5))
    clock.set(noon)
    assert not location.execute(LIVE).success
    asked = simulator.counters.requests
    assert asked > 1
    with location.project.store.transaction() as con:
        con.execute("UPDATE agent_9_left_out SET tried_at = $noon", {"noon": noon.replace(tzinfo=None)})
    assert location.execute(LIVE).success  # nothing else is wrong, and this one rests
    assert simulator.counters.requests == asked


def test_history_that_cannot_be_read_does_not_pause_live_windows(
    location: Location, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = location.sensor()
    unreadable(simulator, monkeypatch, *windows_of(*asked_for(tick)))
    assert not location.execute(CATCH_UP, tick.runs[0]).success
    assert location.instance.get_runs()[0].tags[PERMANENT] == THESE_WINDOWS
    assert location.schedule().runs
    # Live windows, none of which can be read, are another matter.
    live = Range(live_from(location), location.wall() + DAY)
    unreadable(simulator, monkeypatch, *live.windows())
    request = dg.RunRequest(tags={runs.ACCESS: runs.access(location.operation, location.project.store)})
    assert not location.execute(LIVE, request).success
    assert location.instance.get_runs()[0].tags[PERMANENT] == EVERYTHING
    assert location.schedule().skipped


# The live job


def test_a_live_run_asks_each_new_window_once_and_verifies_what_has_settled(
    location: Location, simulator: Simulator
) -> None:
    """As it is now: the live windows of the last 70 minutes, the hours and the days before them known."""
    location.project.start = location.wall().date() - 2 * DAY
    location.reload()
    result = location.execute(LIVE)
    assert result.success
    known = location.project.known()
    assert 13 <= len(known) <= 15
    assert location.project.rows() == location.project.true_rows(known)
    ranges = [seen for seen in simulator.counters.log if seen.api == "agent_9"]
    assert len(ranges) == len(known)  # one request a window
    assert len({seen.date_ini for seen in ranges}) == len(known)
    assert ranges[0].date_ini == f"{known[-1]:%Y%m%d%H%M%S}"  # the newest first
    today = location.query("SELECT SUM(windows_known), SUM(total_seconds) FROM operation_hold_mute_daily")
    assert today == [(len(known), sum(row[5] for row in location.project.rows()))]
    # Nothing has closed since: nothing is asked.
    simulator.reset_counters()
    newest = known[-1]
    assert location.execute(LIVE).success
    new = [window for window in location.project.known() if window > newest]
    assert simulator.counters.by_api["agent_9"] == len(new)


def test_a_live_run_finds_late_records_of_hours_and_of_days(
    location: Location, simulator: Simulator, clock: Clock
) -> None:
    noon = datetime(2026, 11, 18, 17, 1, tzinfo=UTC)  # 12:01 on a Wednesday
    wednesday = datetime(2026, 11, 18)
    location.project.start = date(2026, 11, 17)
    location.reload()
    with location.project.store.transaction() as con:
        con.execute(
            "INSERT INTO additivity_proofs VALUES ('main', TIMESTAMP '2026-11-17', true, 'made up', '')"
        )
    clock.set(noon)
    stretch = Range(wednesday - 14 * HOUR + 24 * HOUR - DAY, wednesday + 12 * HOUR)
    ranges = [[f"{r.start:%Y-%m-%dT%H:%M}", f"{r.end:%Y-%m-%dT%H:%M}"] for r in (stretch,)]
    request = dg.RunRequest(run_config={"ops": {"main_fill": {"config": {"ranges": ranges}}}}, tags={})
    assert location.execute(CATCH_UP, request).success
    # All of it was verified long ago, as far as the tables say.
    with location.project.store.transaction() as con:
        con.execute(
            "UPDATE agent_9_window_log SET verified_at = window_start + INTERVAL 5 HOUR + INTERVAL 6 MINUTE,"
            " fetched_at = window_start + INTERVAL 5 HOUR + INTERVAL 6 MINUTE"
        )
        con.execute("UPDATE api_requests SET requested_at = TIMESTAMP '2026-11-17'")
    late = Use(wednesday + 10 * HOUR + 2 * MINUTE, simulator.centre.names[0], "hold", 77)
    simulator.centre.add(late)
    simulator.reset_counters()
    assert location.execute(LIVE).success
    assert location.project.rows() == location.project.true_rows(location.project.known())
    # The hours of Wednesday are verified as one stretch; that they differ costs a handful more.
    assert 1 < simulator.counters.by_api["agent_9"] <= 25
    changed = location.query("SELECT DISTINCT window_start FROM agent_9_corrections")
    assert changed == [(wednesday + 10 * HOUR,)]
    total = location.query(
        "SELECT total_seconds = (SELECT SUM(total_seconds) FROM agent_9_windows WHERE local_date = '2026-11-18')"
        " FROM operation_hold_mute_daily WHERE local_date = '2026-11-18'"
    )
    assert total == [(True,)]
    simulator.reset_counters()
    assert location.execute(LIVE).success
    assert simulator.counters.by_api["agent_9"] == 0


# What is on without a click


@pytest.mark.parametrize("automation", ["on", "off"])
def test_one_setting_turns_everything_off(location: Location, automation: str) -> None:
    location.reload(WOLKVOX_AUTOMATION=automation)
    schedules, sensors = location.definitions.schedules or [], location.definitions.sensors or []
    states = {
        **{one.name: one.default_status.value for one in schedules},
        **{one.name: one.default_status.value for one in sensors},
    }
    wanted = "RUNNING" if automation == "on" else "STOPPED"
    assert states == dict.fromkeys(("main_live_schedule", "main_gaps", "alerts"), wanted)


def test_what_is_left_is_for_live_windows(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "kept_for_live", lambda _, __, ___, live: 100 * live)
    alive(location)
    saw(location, "main", used=750)
    assert "quota of main is used up but for live windows" in location.sensor().skipped
    assert location.schedule().runs
    saw(location, "main", used=850)
    assert "quota of main is used up but for live windows" in location.sensor().skipped
    assert "quota of main is used up;" in location.schedule().skipped


def test_operations_of_one_server_share_its_quota_whatever_their_tokens(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And two with one token, but of two servers, don't."""
    write_operations(location, tmp_path, monkeypatch)
    file = tmp_path / "operations.toml"
    north, near, south = file.read_text().split("\n\n")
    file.write_text("\n\n".join([north, near.replace("0013", "0014"), south]))
    location.definitions = build_definitions(load_settings())
    for operation in ("north", "near", "south"):
        saw(location, operation, used=10)
    for schedule in ("north", "near", "south"):
        assert location.schedule(schedule).runs
    saw(location, "south", used=850)
    for operation in ("north", "south"):
        assert "quota" in location.schedule(operation).skipped
        assert "quota" in location.sensor(f"{operation}_gaps").skipped
    assert location.schedule("near").runs
    assert location.sensor("near_gaps").runs


def saw(location: Location, operation: str, used: int) -> None:
    """As if a run had looked a moment ago; of 1000 requests a day."""
    source = next(one.source for one in load_settings().operations if one.name == operation)
    with location.project.store.transaction() as con:
        record(con, operation, source)
        record_quota(con, operation, QuotaReading(datetime.now(UTC), 1000, used), run_id="made-up")
