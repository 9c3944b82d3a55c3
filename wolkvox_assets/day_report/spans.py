"""The days, weeks and months that a report can be about: their names and ends."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

_DAY = timedelta(days=1)


class Kind(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


# How far back the same weekdays are that a report is compared with, without a day that is in it.
_BACK = {Kind.DAY: timedelta(weeks=1), Kind.WEEK: timedelta(weeks=1), Kind.MONTH: timedelta(weeks=5)}


@dataclass(frozen=True, order=True)
class Span:
    """From `first` to `last`, both included, of an operation's wall clock."""

    first: date
    last: date
    kind: Kind

    @classmethod
    def of(cls, kind: Kind, day: date) -> "Span":
        """The one that this day is in."""
        match kind:
            case Kind.DAY:
                return cls(day, day, kind)
            case Kind.WEEK:
                monday = day - _DAY * day.weekday()
                return cls(monday, monday + _DAY * 6, kind)
            case Kind.MONTH:
                following = (day.replace(day=1) + _DAY * 31).replace(day=1)
                return cls(day.replace(day=1), following - _DAY, kind)

    @property
    def name(self) -> str:
        """`2026-11-16`, `2026-W47`, `2026-11`: also of its file."""
        match self.kind:
            case Kind.DAY:
                return f"{self.first}"
            case Kind.WEEK:
                year, week, _ = self.first.isocalendar()
                return f"{year}-W{week:02}"
            case Kind.MONTH:
                return f"{self.first:%Y-%m}"

    @property
    def back(self) -> timedelta:
        """How long before are the same weekdays that it is compared with."""
        return _BACK[self.kind]

    def days(self) -> Iterator[date]:
        return (self.first + _DAY * n for n in range((self.last - self.first).days + 1))

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


def spans_of(days: Iterable[date]) -> list[Span]:
    """Every day, week and month that any of these days is in, newest first."""
    return sorted({Span.of(kind, day) for day in days for kind in Kind}, reverse=True)
