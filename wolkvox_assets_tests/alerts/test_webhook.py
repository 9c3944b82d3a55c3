"""Messages that go to the webhook, and those that cannot."""

import logging

import pytest

from wolkvox_assets.alerts import webhook as module
from wolkvox_assets.alerts.webhook import send
from wolkvox_assets_tests.alerts.conftest import Webhook

LOG = logging.getLogger("alerts")


@pytest.fixture(autouse=True)
def set_up(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOLKVOX_ALERT_WEBHOOK", webhook.url)


def test_messages_are_sent_in_their_order_as_plain_text(webhook: Webhook) -> None:
    assert send(["one", "<!channel> ![x](http://e)"], LOG) == []
    assert webhook.messages == ["one", "&lt;!channel&gt; ! [x] (http://e)"]


def test_where_none_is_set_nothing_is_left_to_send(monkeypatch: pytest.MonkeyPatch, webhook: Webhook) -> None:
    monkeypatch.delenv("WOLKVOX_ALERT_WEBHOOK")
    assert send(["one"], LOG) == []
    assert webhook.messages == []


def test_what_fails_is_left_for_later_and_the_address_is_in_no_log(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.answer = 500
    assert send(["one", "two"], LOG) == ["one", "two"]
    assert webhook.messages == ["one"]
    with monkeypatch.context() as gone:
        gone.setenv("WOLKVOX_ALERT_WEBHOOK", "http://127.0.0.1:9/hooks/very-secret-address")
        assert send(["one", "two"], LOG) == ["one", "two"]
    webhook.answer = 200
    assert send(["one", "two"], LOG) == []
    assert webhook.messages == ["one", "one", "two"]
    assert "the webhook answered 500" in caplog.text
    assert "the webhook failed (ConnectionError)" in caplog.text
    assert "very-secret-address" not in caplog.text


def test_an_address_that_is_none_is_said_and_keeps_nothing_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WOLKVOX_ALERT_WEBHOOK", "very-secret-address")
    assert send(["one"], LOG) == []
    assert "Messages are only in this log" in caplog.text
    assert "very-secret-address" not in caplog.text


def test_what_waits_does_not_grow_without_end(webhook: Webhook) -> None:
    webhook.answer = 503
    messages = [f"{n}" for n in range(200)]
    assert send(messages, LOG) == messages[-50:]


def test_a_slow_webhook_does_not_use_up_the_sensors_time(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SEND_SECONDS", -1.0)
    assert send(["one", "two"], LOG) == ["one", "two"]
    assert webhook.messages == []


def test_a_message_that_is_refused_for_good_keeps_no_other_waiting(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.answer = 400
    assert send(["too odd", "fine"], LOG) == []
    assert webhook.messages == ["too odd", "fine"]
    assert "this message was not sent: too odd" in caplog.text
    assert "very-secret-address" not in caplog.text
    webhook.answer = 429
    assert send(["later"], LOG) == ["later"]
