"""What is news: the difference between what is wrong now and what was told, as pure functions."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple


class Trouble(NamedTuple):
    """A cause of failures that is not over. `since`: aware. `words`: what happened and what to do. `brief`: it can be
    over within seconds, like a check that looked at a day while it was being loaded; so it is told only when seen
    twice. `waits`: it may be over without anybody's doing; so it is not told yet, but stays if it was."""

    since: datetime
    words: str
    brief: bool = False
    waits: bool = False


def news(
    told: Mapping[str, str], now: Mapping[str, Trouble], seen: Collection[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """The messages, and what is told from then on.

    `told`: since when (as text) each cause is known to be wrong. `now`: what is wrong, by cause. `seen`: what was wrong
    at the last look, told or not.
    """
    now = {
        cause: trouble
        for cause, trouble in now.items()
        if cause in told or not (trouble.waits or (trouble.brief and cause not in seen))
    }
    messages = [
        f"wolkvox_assets: trouble since {_text(trouble.since)}. {_said(cause, trouble)} No further message is sent "
        "for this cause until it is over."
        for cause, trouble in now.items()
        if cause not in told
    ]
    messages += [
        f"wolkvox_assets: over. {cause} (since {since}). If the schedule and the sensor are on, they load what "
        "was missed meanwhile by themselves."
        for cause, since in told.items()
        if cause not in now
    ]
    return messages, {cause: told.get(cause) or _text(trouble.since) for cause, trouble in now.items()}


def _said(cause: str, trouble: Trouble) -> str:
    # A setting that is wrong is a cause in words.
    return cause if cause.endswith(trouble.words) else f"{trouble.words} ({cause})"


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
