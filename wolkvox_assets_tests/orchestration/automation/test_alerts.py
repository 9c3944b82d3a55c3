"""What is wrong now, by what is stored and by Dagster's record of runs; and the sensor that tells it."""

from datetime import datetime

import dagster as dg
import pytest

from wolkvox_assets.alerts.news import Trouble
from wolkvox_assets.api import AnswerUnreadable, ConnectionFailed, TokenRefused, Unavailable
from wolkvox_assets.orchestration.automation.alerts import what_is_wrong
from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.pipeline.pauses import remember_success
from wolkvox_assets.report.windows import Range
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.sync import BadAnswers
from wolkvox_assets_tests.orchestration.automation.conftest import (
    DAY,
    HOUR,
    LIVE,
    Location,
    Webhook,
    write_operations,
)

pytestmark = pytest.mark.usefixtures("no_pages")

FAILED = dg.DagsterRunStatus.FAILURE
SUCCEEDED = dg.DagsterRunStatus.SUCCESS
STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def told(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("WOLKVOX_ALERT_WEBHOOK", webhook.url)
    return webhook.messages


def wrong(location: Location) -> dict[str, Trouble]:
    return what_is_wrong(location.instance, location.code, location.now)


# What is wrong


def test_a_cause_lasts_from_its_first_failure_until_work_of_that_kind_succeeds(location: Location) -> None:
    assert wrong(location) == {}
    began = location.now
    location.fail(Work.LIVE, Unavailable("The server is down."), run="run-1")
    location.now += HOUR
    location.fail(Work.LIVE, Unavailable("The server is down."), run="run-2")
    location.fail(Work.HISTORY, ConnectionFailed("Nobody there."), run="run-3")
    found = wrong(location)
    assert list(found) == ["main: Unavailable", "main: ConnectionFailed"]
    assert found["main: Unavailable"].since == began
    assert "The server is down." in found["main: Unavailable"].words
    assert "(run run-1, live)" in found["main: Unavailable"].words
    remember_success(location.project.store, location.operation, Work.LIVE)
    assert list(wrong(location)) == ["main: ConnectionFailed"]


def test_live_windows_that_work_don_t_end_what_is_wrong_with_history(location: Location) -> None:
    bad = BadAnswers({datetime(2026, 11, 1): AnswerUnreadable("nonsense")}, given_up=False)
    location.fail(Work.HISTORY, bad)
    remember_success(location.project.store, location.operation, Work.LIVE)
    assert list(wrong(location)) == ["main: BadAnswers"]
    remember_success(location.project.store, location.operation, Work.HISTORY)
    assert wrong(location) == {}


def test_a_refused_token_is_over_with_another_token_or_when_any_work_succeeds(location: Location) -> None:
    location.fail(Work.LIVE, TokenRefused("No."))
    location.reload(WOLKVOX_TOKEN="another")
    assert wrong(location) == {}
    location.reload()
    assert list(wrong(location)) == ["main: TokenRefused"]
    remember_success(location.project.store, location.operation, Work.RANGE)
    assert wrong(location) == {}


def test_what_a_person_began_and_did_not_repeat_is_forgotten_after_two_days(location: Location) -> None:
    location.fail(Work.RANGE)
    location.now += 47 * HOUR
    assert list(wrong(location)) == ["main: ConnectionFailed"]
    location.now += 2 * HOUR
    assert wrong(location) == {}
    location.now -= 1000 * HOUR  # a clock that was ahead is set right
    assert wrong(location) == {}


def test_each_operation_has_its_own_causes(location: Location) -> None:
    write_operations(location)
    location.fail(Work.LIVE, operation="north")
    location.fail(Work.LIVE, operation="south")
    assert list(wrong(location)) == ["north: ConnectionFailed", "south: ConnectionFailed"]


def test_a_run_that_died_is_told_until_the_next_of_its_kind_has_ended(location: Location) -> None:
    run = location.record(FAILED, job=LIVE)
    location.record(SUCCEEDED)  # of another kind
    found = wrong(location)
    assert list(found) == ["live: run failed without a report"]
    assert run.run_id in found["live: run failed without a report"].words
    assert "A run died without reporting" in found["live: run failed without a report"].words
    location.record(SUCCEEDED, job=LIVE)
    assert wrong(location) == {}
    location.record(FAILED)
    assert list(wrong(location)) == ["main: run failed without a report"]


def test_totals_that_fail_say_nothing_of_the_windows(location: Location) -> None:
    location.record(FAILED, asset="agent_hold_mute_daily")
    assert wrong(location) == {}


def test_a_run_that_could_report_has_not_died_also_when_what_it_reported_is_over(location: Location) -> None:
    location.fill(Range(datetime.combine(location.project.start, datetime.min.time()), location.live_from))
    location.reload(WOLKVOX_TOKEN="not-the-token-8731")
    assert not location.live().success
    found = wrong(location)
    assert list(found) == ["main: TokenRefused"]
    assert "token" in found["main: TokenRefused"].words
    assert "not-the-token-8731" not in str(found)
    location.reload()  # the last run is still one that failed
    assert wrong(location) == {}


def test_a_run_that_could_not_store_anything_is_told_in_its_own_words(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    location.fill(Range(datetime.combine(location.project.start, datetime.min.time()), location.live_from))

    def full(*_: object) -> float:
        raise StoreError("No space left on the disk.")

    monkeypatch.setattr("wolkvox_assets.pipeline.loading.commit", full)
    assert not location.live().success
    assert "No space left on the disk." in wrong(location)["live: run failed without a report"].words


# The sensor


def test_one_message_for_one_cause_until_it_is_over_and_one_when_it_is(
    location: Location, told: list[str]
) -> None:
    assert location.sensor("alerts").skipped == "no failure is open"
    assert location.cursors["alerts"] in (None, '{"told": {}, "seen": [], "unsent": []}')
    cursors = set()
    for _ in range(3):
        location.fail(Work.LIVE, Unavailable("Down."))
        said = location.sensor("alerts")
        cursors.add(said.cursor)
    assert len(told) == 1
    assert len(cursors) == 1  # it does not grow
    assert said.skipped == "not over: main: Unavailable"
    remember_success(location.project.store, location.operation, Work.LIVE)
    for _ in range(2):
        assert location.sensor("alerts").skipped == "no failure is open"
    assert len(told) == 2
    assert "over. main: Unavailable" in told[1]


def test_a_message_that_could_not_be_sent_comes_later(
    location: Location, webhook: Webhook, told: list[str]
) -> None:
    webhook.answer = 500
    location.fail(Work.LIVE)
    location.sensor("alerts")
    webhook.answer = 200
    location.sensor("alerts")
    location.sensor("alerts")
    assert len(told) == 2
    assert told[0] == told[1]


def test_without_a_webhook_the_log_has_it(location: Location, capfd: pytest.CaptureFixture[str]) -> None:
    location.fail(Work.LIVE, run="run-1")
    location.sensor("alerts")
    assert "(run run-1, live)" in "".join(capfd.readouterr())


def test_a_store_that_cannot_be_read_is_trouble_and_what_was_told_stays(
    location: Location, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    location.fail(Work.LIVE)
    location.sensor("alerts")

    def broken(*_: object) -> None:
        raise StoreError("wolkvox.duckdb is damaged.")

    with monkeypatch.context() as damaged:
        damaged.setattr("wolkvox_assets.alerts.troubles.open_failures", broken)
        location.sensor("alerts")
    assert len(told) == 2
    assert "wolkvox.duckdb is damaged." in told[1]
    location.sensor("alerts")
    assert len(told) == 3
    assert "over. store" in told[2]


def test_a_run_whose_process_is_gone_is_ended_and_told(location: Location, told: list[str]) -> None:
    run = location.record(STARTED)
    dead_runs._lock_file(location.instance, run.run_id).touch()  # and nobody holds it
    location.sensor("alerts")
    ended = location.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is FAILED
    location.now += 2 * DAY  # the record's clock
    location.sensor("alerts")
    assert len(told) == 1
    assert run.run_id in told[0]
