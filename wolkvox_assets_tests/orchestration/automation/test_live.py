"""The job `live` in this process, on a real instance: what Dagster shows of a tick, and when one is started."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from wolkvox_assets.api import Answer, AnswerUnreadable, WolkvoxClient
from wolkvox_assets.orchestration.partitions import window_partitions, windows_key
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.simulator import Simulator
from wolkvox_assets.store.attempts import FailureScope, Work
from wolkvox_assets_tests.orchestration.automation.conftest import DAY, HOUR, LIVE, Location, write_operations

pytestmark = pytest.mark.usefixtures("no_pages")


def log_of(location: Location, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(entry.user_message for entry in location.instance.all_logs(result.run_id))


def live_windows(location: Location) -> Range:
    return Range(location.live_from, location.midnight + 12 * HOUR)


def key_of(window: object) -> str:
    return f"{window:%Y-%m-%dT%H:%M}"


def shown(location: Location, range_: Range) -> set[str | None]:
    """What Dagster shows of these windows: materialised, failed, or nothing (None)."""
    keys = [key_of(window) for window in range_.windows()]
    status = location.instance.get_status_by_partition(
        windows_key(location.operation), keys, window_partitions(location.operation)
    )
    return {found.value if (found := (status or {}).get(key)) else None for key in keys}


@pytest.fixture
def lived(location: Location) -> Location:
    """All is known but for the live windows and an hour of this morning."""
    location.project.simulator.centre.silence(
        location.midnight - 9 * DAY, location.live_from - timedelta(seconds=1)
    )
    location.fill(Range(location.midnight - 9 * DAY, location.live_from))
    with location.project.store.transaction() as con:
        con.execute(
            "INSERT INTO additivity_proofs SELECT 'main', ?, true, 'made up', ''",
            [location.now.replace(tzinfo=None) - HOUR],
        )
    return location


def test_each_window_is_marked_once_it_is_stored_and_the_run_says_what_it_found(
    lived: Location, simulator: Simulator
) -> None:
    gap = Range(lived.midnight + 3 * HOUR, lived.midnight + 4 * HOUR)
    lived.forget(gap)
    result = lived.live()
    assert result.success
    live = live_windows(lived)
    rows = [row for row in lived.project.rows() if row[0] >= live.start]
    assert rows == lived.project.true_rows(live.windows())
    assert 15 <= simulator.counters.by_api["agent_9"] <= 16  # one a window, an audit, one for the gap
    marked = lived.instance.get_materialized_partitions(windows_key(lived.operation))
    assert marked == {key_of(window) for r in (gap, live) for window in r.windows()}
    for table in ("agent_hold_mute_daily", "operation_hold_mute_daily"):
        days = lived.instance.get_materialized_partitions(dg.AssetKey(["main", table]))
        assert f"{lived.midnight:%Y-%m-%d}" in days
    [observed] = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    metadata = observed.asset_observation_data.asset_observation.metadata
    assert metadata["windows"].value == len(marked)
    assert metadata["requests_made"].value == simulator.counters.requests
    assert metadata["rows"].value == len(lived.project.rows())
    assert metadata["hold_seconds"].value == sum(row[3] for row in lived.project.rows())
    assert metadata["mute_seconds"].value == sum(row[4] for row in lived.project.rows())
    assert metadata["seconds_to_publication"].value == 60  # as the clock of this test shows it
    run = lived.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert [tag for tag in run.tags if tag.startswith("wolkvox/")] == ["wolkvox/work"]
    # Nothing has closed since: nothing is asked, and nothing said.
    simulator.reset_counters()
    result = lived.live()
    assert result.success
    assert simulator.counters.requests == 0
    assert not [event for event in result.all_events if event.event_type_value.startswith("ASSET_")]


def test_a_refused_token_is_one_failed_run_whose_windows_show_as_failed_and_a_long_pause(
    lived: Location, simulator: Simulator
) -> None:
    lived.reload(WOLKVOX_TOKEN="not-the-token")
    result = lived.live()
    assert not result.success
    assert simulator.counters.requests == 1
    assert shown(lived, live_windows(lived)) == {"FAILED"}
    [failed] = lived.open_failures()
    assert (failed.work, failed.scope, failed.run_id) == (Work.LIVE, FailureScope.OPERATION, result.run_id)
    assert "not-the-token" not in log_of(lived, result) + str(failed)
    # Nobody asks again, whether the code location is loaded anew or not; and nothing fails for it.
    lived.reload(WOLKVOX_TOKEN="not-the-token")
    result = lived.live()
    assert result.success
    assert f"TokenRefused in run {failed.run_id}" in log_of(lived, result)
    assert "TokenRefused" in lived.sensor().skipped
    assert simulator.counters.requests == 1
    # Once it is another one, at once.
    lived.reload()
    assert lived.live().success
    assert shown(lived, live_windows(lived)) == {"MATERIALIZED"}
    assert lived.open_failures() == []


def test_an_operation_that_fails_is_a_step_that_fails_and_the_others_are_marked(
    location: Location, simulator: Simulator
) -> None:
    write_operations(location)
    for name in ("north", "near", "south"):
        location.fill(Range(location.midnight - 9 * DAY, location.live_from), name)
        with location.project.store.transaction() as con:
            con.execute("UPDATE agent_9_window_log SET verified_at = ?", [location.now.replace(tzinfo=None)])
    location.monkeypatch.setenv("WOLKVOX_TOKEN_B", "not-the-token")
    result = location.live()
    assert not result.success
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failed == ["south_live"]
    for name, expected in (("north", 14), ("near", 14), ("south", 0)):
        key = dg.AssetKey([name, "agent_9_windows"])
        marked = location.instance.get_materialized_partitions(key)
        assert len(marked) == expected
    assert len(location.open_failures("south")) == 1
    assert location.open_failures("north") == location.open_failures("near") == []
    assert simulator.counters.most_in_flight == 1


def test_windows_that_could_not_be_had_show_as_failed_and_the_others_do_not(lived: Location) -> None:
    bad = lived.live_from + 7 * WINDOW
    unreadable(lived, bad)
    result = lived.live()
    assert not result.success
    assert shown(lived, Range(bad, bad + WINDOW)) == {"FAILED"}
    assert shown(lived, Range(lived.live_from, bad)) == {"MATERIALIZED"}
    assert shown(lived, Range(bad + WINDOW, live_windows(lived).end)) == {"MATERIALIZED"}
    assert [failed.scope for failed in lived.open_failures()] == [FailureScope.WINDOWS]
    assert lived.live().success  # it rests


def unreadable(location: Location, *windows: object) -> None:
    """As if no answer could be read that has anything of these windows in it."""
    ask = WolkvoxClient.report

    def report(
        client: WolkvoxClient, report: Report, range_: Range, /, *, requests: int | None = None
    ) -> Answer:
        answer = ask(client, report, range_, requests=requests)
        if set(range_.windows()) & set(windows):
            raise AnswerUnreadable("nonsense")
        return answer

    location.monkeypatch.setattr(WolkvoxClient, "report", report)


def test_a_used_up_quota_is_no_failure(lived: Location, simulator: Simulator) -> None:
    simulator.api.operations[0].daily_limit = 1000
    simulator.api.operations[0].spend(1000, datetime.now(UTC))  # by someone else, on the server's day
    result = lived.live()
    assert result.success
    assert simulator.counters.requests <= 2
    assert "It is tried again within the hour" in log_of(lived, result)
    result = lived.live()
    assert "quota of main is used up" in log_of(lived, result)
    assert simulator.counters.requests <= 2


def test_a_tick_ends_before_the_next_one_is_due(lived: Location, simulator: Simulator) -> None:
    lived.now += timedelta(minutes=4, seconds=50)
    assert lived.live().success
    assert simulator.counters.requests == 0


# The schedule


def test_one_tick_waits_at_most(location: Location) -> None:
    assert location.schedule().runs
    run = location.record(dg.DagsterRunStatus.STARTED, job=LIVE)
    assert location.schedule().runs  # it ends about now
    waiting = location.record(dg.DagsterRunStatus.NOT_STARTED, job=LIVE)
    assert waiting.run_id in location.schedule().skipped
    for each in (run, waiting):
        location.instance.report_run_failed(each)
    assert location.schedule().runs


@pytest.mark.parametrize("automation", ["on", "off"])
def test_one_setting_turns_everything_off(location: Location, automation: str) -> None:
    location.reload(WOLKVOX_AUTOMATION=automation)
    schedules, sensors = location.definitions.schedules or [], location.definitions.sensors or []
    states = {
        **{one.name: one.default_status.value for one in schedules},
        **{one.name: one.default_status.value for one in sensors},
    }
    wanted = "RUNNING" if automation == "on" else "STOPPED"
    names = ("live_schedule", "prune_run_history_schedule", "main_gaps", "alerts")
    assert states == dict.fromkeys(names, wanted)


@pytest.mark.parametrize(("delay", "minute"), [(0, 0), (60, 1), (61, 2), (240, 4)])
def test_the_schedule_comes_once_the_windows_have_had_their_delay(
    location: Location, delay: int, minute: int
) -> None:
    location.reload(WOLKVOX_LIVE_DELAY_SECONDS=f"{delay}")
    schedule = location.definitions.resolve_schedule_def("live_schedule")
    assert schedule.cron_schedule == f"{minute}-59/5 * * * *"
