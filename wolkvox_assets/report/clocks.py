"""What time it is, by this machine's clock and by the server's.

What belongs here: holding the two against each other, and which of two answers is the newer one. What doesn't:
the operation's wall clock and its time zone (`windows.py`), what is due (`due_work.py`).

A clock can be wrong by months, and be set right, or wrong, at any time. So:

* A window is over only when this machine's clock and the server's (its `Date` header, where it has one) both say so.
* What is stored with a moment in the future does not count: a clock was wrong then, or is wrong now.
* Which of two answers is newer is never told by a time of day. The machine's uptime tells it: nobody can set it.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from wolkvox_assets.report.plain_text import counted

TOLERANCE = timedelta(seconds=5)
"""Clocks of machines that are set by the network differ by less; a `Date` header has whole seconds."""

FUTURE_AFTER = timedelta(minutes=1)
"""A stored moment this much after now lies in the future. Less is a clock that was set by a little."""

_DATE_RESOLUTION = timedelta(seconds=1)


class NotOverYet(Exception):
    """A range was asked that is not over by the server's clock: its answer says nothing of what is still to come.

    `server_time`: aware, the latest it can be there.
    """

    def __init__(self, server_time: datetime, ahead: timedelta) -> None:
        super().__init__(
            f"The clocks disagree: this machine's is {told(ahead)} ahead of the server's, which shows "
            f"{server_time:%Y-%m-%d %H:%M:%S} UTC. A window counts as over when both say so. Set this machine's "
            "clock (NTP); if it is right, tell Wolkvox that the server's is not."
        )
        self.server_time = server_time


class Clocks:
    """This machine's clock and the server's, as far as it was heard.

    Not for longer than a piece of a run: whoever keeps one while a clock is set right keeps a disagreement that is
    over. `now`: this machine's (aware), for tests.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self.ahead = timedelta(0)
        """How far this machine's clock is ahead of the server's, at least; zero where it is not."""
        self.server_time: datetime | None = None
        """The latest it can have been at the server when it last answered; None where it didn't say."""
        self._behind = timedelta(0)

    def heard(self, date: datetime | None, sent_at: datetime) -> None:
        """A request is over. `date`: the `Date` header of its answer; None where there was none, which changes nothing
        of how far the clocks are apart. `sent_at`: this machine's clock then."""
        if date is None:
            self.server_time = None
            return
        self.server_time = date + _DATE_RESOLUTION
        # The header was written after the request was sent: the difference is this, or more.
        ahead = sent_at - self.server_time
        self.ahead = ahead if ahead > TOLERANCE else timedelta(0)
        # As far as that can be said, not knowing how long the answer took: it makes this clock look later, if at all.
        behind = date - self._now()
        self._behind = behind if behind > TOLERANCE else timedelta(0)

    def here(self) -> datetime:
        """This machine's clock (aware)."""
        return self._now()

    def now(self) -> datetime:
        """The earlier of the two clocks."""
        return self._now() - self.ahead

    def at_server(self) -> datetime:
        """The server's clock, or this machine's where that doesn't tell: what is stored with a later moment was
        stored by a clock that was wrong. By this machine's alone, one that was set back would make the data wrong.
        """
        return self._now() - self.ahead + self._behind

    def must_be_over(self, end: datetime) -> None:
        """Raises `NotOverYet` where the server's clock had not reached `end` (aware) at its last answer."""
        if self.server_time is not None and end > self.server_time + TOLERANCE:
            raise NotOverYet(self.server_time, max(self.ahead, end - self.server_time))


def lately(moment: datetime, now: datetime, within: timedelta) -> bool:
    """Whether this moment (aware) is less than that long ago. One of the future is not: a clock was ahead, and what it
    left must not make anything wait until it is reached.
    """
    return now - within < moment <= now + FUTURE_AFTER


class Moment(NamedTuple):
    """Tells the newer of two answers, whatever the clocks showed. `at`: later is more. `clock`: what it counts by; of
    two moments by different clocks nothing follows."""

    clock: str
    at: int


def moment() -> Moment:
    """This one, by this machine's uptime: `at` in nanoseconds."""
    return Moment(boot(), uptime_ns())


def uptime_ns() -> int:
    """Nanoseconds since this machine was started: the same clock in all its processes, which nobody can set."""
    return (
        time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns()
    )


@cache
def boot() -> str:
    """Names the start of this machine that `uptime_ns` counts from; empty where the system doesn't tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def told(span: timedelta) -> str:
    """A span in words; its sign is the reader's to know."""
    seconds = abs(round(span.total_seconds()))
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    if days:
        return f"{counted(days, 'day')} {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"
