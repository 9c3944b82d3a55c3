"""Sending messages to the webhook, if one is set."""

import logging
import time
from collections.abc import Sequence

import requests

from wolkvox_assets.report.plain_text import chat
from wolkvox_assets.settings import ConfigurationProblem, alert_webhook

_SECONDS = 10.0
# Dagster ends a tick after 60 s: what isn't sent by then is sent at the next.
_SEND_SECONDS = 20.0
_MOST_UNSENT = 50
# The message is at fault: bad request, too large, cannot be processed.
_REFUSED_FOR_GOOD = {400, 413, 422}


def send(messages: Sequence[str], log: logging.Logger) -> list[str]:
    """Returns what could not be sent: it is to be tried again later."""
    began = time.monotonic()
    try:
        webhook = alert_webhook()
    except ConfigurationProblem as problem:
        log.warning(f"{problem} Messages are only in this log.")
        return []
    if webhook is None:
        return []
    for place, message in enumerate(messages):
        if time.monotonic() - began > _SEND_SECONDS:
            return list(messages[place:])
        try:
            # `text` is what both Slack's and Teams-compatible receivers take.
            answer = requests.post(
                webhook.get_secret_value(),
                json={"text": chat(message)},
                timeout=_SECONDS,
                allow_redirects=False,
                stream=True,  # nobody reads the body: it could come a byte at a time, for ever
            )
            answer.close()
        except requests.RequestException as error:
            # Its text holds the address, which is a secret.
            log.warning(f"the webhook failed ({type(error).__name__}): it is tried again at the next tick")
            return list(messages[place:][-_MOST_UNSENT:])
        if answer.status_code in _REFUSED_FOR_GOOD:
            # It would be refused again, and keep all others waiting.
            log.warning(f"the webhook answered {answer.status_code}: this message was not sent: {message}")
        elif not answer.ok:
            log.warning(f"the webhook answered {answer.status_code}: it is tried again at the next tick")
            return list(messages[place:][-_MOST_UNSENT:])
    return []
