"""The operation's wall clock: windows, days, ranges, and the two days a year when clocks change.

What belongs here: every conversion between UTC and the wall clock, and the arithmetic of windows.
What doesn't: what is asked, stored or scheduled.

A *window* is five minutes of the wall clock and is named by its start, a naive `datetime`: the API
speaks naive wall-clock time and knows no other. When clocks go back an hour is passed twice; both
passes are the same windows, with one answer, which is final only after the second pass. When clocks
go forward an hour has no windows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WINDOW = timedelta(minutes=5)
"""The length of a window."""

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """A range of wall-clock time `[start, end)`, both naive, both on a window's boundary."""

    start: datetime
    end: datetime

    @property
    def last_second(self) -> datetime:
        """The `date_end` to ask for: the API's ends are both inclusive, to the second."""
        return self.end - SECOND

    def windows(self) -> Iterator[datetime]:
        """The starts of the windows, in order. Says nothing about whether the clock showed them."""
        window = self.start
        while window < self.end:
            yield window
            window += WINDOW

    def __len__(self) -> int:
        """How many windows."""
        return (self.end - self.start) // WINDOW

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M:%S} to {self.last_second:%Y-%m-%d %H:%M:%S}"


def one(window: datetime) -> Range:
    """The range that is just this window."""
    return Range(window, window + WINDOW)


def contiguous(windows: Iterable[datetime]) -> list[Range]:
    """The fewest ranges that hold exactly these windows, in order, each window once."""
    ranges: list[Range] = []
    for window in sorted(set(windows)):
        if ranges and ranges[-1].end == window:
            ranges[-1] = Range(ranges[-1].start, window + WINDOW)
        else:
            ranges.append(one(window))
    return ranges


class WallClock:
    """The clock on the wall of one operation.

    `zone`: an IANA name such as `America/Bogota`; an unknown one raises `ZoneInfoNotFoundError`.
    """

    def __init__(self, zone: str) -> None:
        self.name = zone
        self._zone = ZoneInfo(zone)

    def now(self, utc: datetime) -> datetime:
        """The wall-clock time (naive) at this instant (aware)."""
        return utc.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def passes(self, start: datetime, end: datetime) -> list[datetime]:
        """The window that each five minutes of real time falls in, from `start` to `end` (both aware).

        One entry for each five minutes: the windows of an hour that is passed twice stand there twice.
        """
        at, stop = start.astimezone(UTC), end.astimezone(UTC)
        found = []
        while at < stop:
            found.append(self.now(at))
            at += WINDOW
        return found

    def start_utc(self, window: datetime) -> datetime:
        """When the window begins, aware, in UTC; of two passes, the first."""
        return window.replace(tzinfo=self._zone, fold=0).astimezone(UTC)

    def end_utc(self, window: datetime) -> datetime:
        """When the window is over for good, aware, in UTC; of two passes, the second."""
        return window.replace(tzinfo=self._zone, fold=1).astimezone(UTC) + WINDOW

    def shows(self, window: datetime) -> bool:
        """Whether the clock ever shows this time: not in the hour skipped when clocks go forward."""
        return self.now(self.start_utc(window)) == window

    def passes_of_day(self, day: date) -> int:
        """How many five minutes of real time the day has: 288, and 276 or 300 when clocks change."""
        midnight = datetime.combine(day, time())
        return (self.start_utc(midnight + timedelta(days=1)) - self.start_utc(midnight)) // WINDOW

    def windows_of_day(self, day: date) -> list[datetime]:
        """The windows of a wall-clock day, each once: 288, and 276 where an hour is skipped."""
        midnight = datetime.combine(day, time())
        windows = list(Range(midnight, midnight + timedelta(days=1)).windows())
        # All but a day or two a year are whole, and to look at each window takes 50 times as long.
        return windows if self.passes_of_day(day) >= len(windows) else [w for w in windows if self.shows(w)]
