"""What people are told, and how often: the sensor `alerts` with a webhook that takes the messages."""

import socket
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from wolkvox_assets.assets.run_tags import CAUSE, EVERYTHING, PERMANENT
from wolkvox_assets_tests.automation.conftest import Clock, Location, Webhook

FAILED = dg.DagsterRunStatus.FAILURE
SUCCEEDED = dg.DagsterRunStatus.SUCCESS
LIVE, CATCH_UP = "main_live", "main_catch_up"

# Dagster says so of sensors that nobody gave owners.
pytestmark = pytest.mark.filterwarnings("ignore:Parameter `owners`:dagster.BetaWarning")


@pytest.fixture(autouse=True)
def told(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("WOLKVOX_ALERT_WEBHOOK", webhook.url)
    return webhook.messages


def fail(location: Location, job: str = LIVE, cause: str = "Unavailable", permanent: str = "no") -> str:
    run = location.record(job, FAILED)
    location.instance.add_run_tags(run.run_id, {CAUSE: cause, PERMANENT: permanent})
    return run.run_id


def test_one_message_for_one_cause_until_it_is_over_and_one_when_it_is(
    location: Location, told: list[str]
) -> None:
    location.sensor("alerts")
    assert told == []
    first = fail(location)
    location.sensor("alerts")
    assert len(told) == 1
    for words in ("main", LIVE, "Unavailable", first, f"{datetime.now(UTC):%Y-%m-%d}"):
        assert words in told[0]
    for _ in range(3):
        fail(location)
        said = location.sensor("alerts")
    assert len(told) == 1
    assert "Unavailable" in said.skipped
    location.record(LIVE, SUCCEEDED)
    location.sensor("alerts")
    assert len(told) == 2
    assert "over" in told[1]
    location.record(LIVE, SUCCEEDED)
    assert "wrong at the moment: nothing" in location.sensor("alerts").skipped
    assert len(told) == 2
    fail(location)  # another time
    location.sensor("alerts")
    assert len(told) == 3


def test_another_cause_is_another_message(location: Location, told: list[str]) -> None:
    for cause in ("Unavailable", "ConnectionFailed", "Unavailable", "ConnectionFailed"):
        fail(location, cause=cause)
        location.sensor("alerts")
    assert len(told) == 2
    location.record(LIVE, SUCCEEDED)
    location.sensor("alerts")
    assert len(told) == 4


def test_live_windows_that_work_don_t_end_what_is_wrong_with_gaps(
    location: Location, told: list[str]
) -> None:
    for _ in range(3):
        fail(location, CATCH_UP, "AnswerUnreadable", "these windows")
        location.record(LIVE, SUCCEEDED)
        location.sensor("alerts")
    assert len(told) == 1


def test_one_cause_met_by_two_jobs_is_one_message_until_both_succeed(
    location: Location, told: list[str]
) -> None:
    for job in (CATCH_UP, LIVE, CATCH_UP):
        fail(location, job)
        location.sensor("alerts")
    assert len(told) == 1
    location.record(LIVE, SUCCEEDED)
    location.sensor("alerts")
    fail(location, CATCH_UP)
    location.sensor("alerts")
    assert len(told) == 1
    location.record(CATCH_UP, SUCCEEDED)
    location.sensor("alerts")
    assert len(told) == 2
    assert "over" in told[1]


def test_what_was_begun_by_hand_is_over_when_the_automation_gets_it(
    location: Location, told: list[str]
) -> None:
    def by_hand(status: dg.DagsterRunStatus) -> None:
        windows = {dg.AssetKey(["main", "agent_9_windows"])}
        run = location.record("__ASSET_JOB", status, asset_selection=windows)
        if status is FAILED:
            location.instance.add_run_tags(run.run_id, {CAUSE: "ConnectionFailed", PERMANENT: "no"})
        location.sensor("alerts")

    by_hand(FAILED)
    location.record(LIVE, SUCCEEDED)
    location.sensor("alerts")
    assert len(told) == 1  # says nothing of those windows
    location.record(CATCH_UP, SUCCEEDED)
    location.sensor("alerts")
    assert len(told) == 2
    by_hand(FAILED)
    by_hand(SUCCEEDED)
    assert len(told) == 4


def test_what_is_not_met_again_for_days_is_forgotten(
    location: Location, told: list[str], clock: Clock
) -> None:
    fail(location, CATCH_UP)
    location.sensor("alerts")
    clock.set(datetime.now(UTC) + timedelta(days=1, hours=23))
    assert "Unavailable" in location.sensor("alerts").skipped
    clock.set(datetime.now(UTC) + timedelta(days=2, hours=1))
    assert "nothing" in location.sensor("alerts").skipped
    assert "was not met again for 2 days" in told[1]
    fail(location, CATCH_UP)
    location.sensor("alerts")
    assert len(told) == 3


def test_totals_that_are_built_don_t_end_what_is_wrong_with_the_token(
    location: Location, told: list[str]
) -> None:
    fail(location, CATCH_UP, "TokenRefused", EVERYTHING)
    location.sensor("alerts")
    totals = {dg.AssetKey(["main", "agent_hold_mute_daily"])}
    location.record("__ASSET_JOB", SUCCEEDED, asset_selection=totals)
    location.sensor("alerts")
    assert len(told) == 1
    location.record(LIVE, SUCCEEDED)  # any job that asks shows that the token works
    location.sensor("alerts")
    assert len(told) == 2


def test_a_refused_token_is_one_message_and_says_what_to_do(location: Location, told: list[str]) -> None:
    location.reload(WOLKVOX_TOKEN="not-the-token-8731")
    assert not location.execute(LIVE).success
    assert not location.execute(CATCH_UP, location_request(location)).success
    location.sensor("alerts")
    assert len(told) == 1
    assert "token" in told[0].lower()
    assert "not-the-token-8731" not in told[0]


def location_request(location: Location) -> dg.RunRequest:
    pair = [f"{location.midnight - timedelta(days=1):%Y-%m-%dT%H:%M}", f"{location.midnight:%Y-%m-%dT%H:%M}"]
    return dg.RunRequest(run_config={"ops": {"main_fill": {"config": {"ranges": [pair]}}}}, tags={})


def test_a_run_that_was_killed_is_told(location: Location, told: list[str]) -> None:
    run = location.instance.create_run_for_job(
        location.definitions.resolve_job_def(LIVE),
        status=dg.DagsterRunStatus.STARTED,
        tags={"wolkvox/operation": "main"},
    )
    location.instance.add_run_tags(run.run_id, {"wolkvox/host": f"{socket.gethostname()}/{run.run_id}"})
    location.sensor("alerts")
    assert len(told) == 1
    assert run.run_id in told[0]
    assert "ended without a word" in told[0]


def test_a_webhook_that_fails_gets_the_message_later_and_its_address_is_in_no_log(
    location: Location, webhook: Webhook, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook.answer = 500
    fail(location)
    location.sensor("alerts")
    failed = len(webhook.messages)
    assert failed == 1
    monkeypatch.setenv(
        "WOLKVOX_ALERT_WEBHOOK", "http://127.0.0.1:9/hooks/very-secret-address"
    )  # nobody there
    location.sensor("alerts")
    monkeypatch.setenv("WOLKVOX_ALERT_WEBHOOK", webhook.url)
    webhook.answer = 200
    location.sensor("alerts")
    location.sensor("alerts")
    assert webhook.messages == [webhook.messages[0]] * 2
    seen = "".join(capfd.readouterr()) + str(location.cursors)
    assert "the webhook answered 500" in seen
    assert "the webhook failed" in seen
    assert "very-secret-address" not in seen


def test_without_a_webhook_the_log_has_it(
    location: Location, told: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WOLKVOX_ALERT_WEBHOOK")
    run = fail(location)
    location.sensor("alerts")
    assert told == []
    assert run in "".join(capfd.readouterr())
