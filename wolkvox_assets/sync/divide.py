"""Cutting ranges up: months, days, hours, halves, and what is left of a range.

All of it naive wall clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta

from wolkvox_assets.report.windows import WINDOW, Range

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

# Where people's days change: shifts, hours, breaks. A cut there is likely to have nothing on one side.
_NATURAL = (DAY, timedelta(hours=6), HOUR, timedelta(minutes=15), WINDOW)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The fewest ranges that hold the same windows, oldest first; empty ranges are left out."""
    found: list[Range] = []
    for r in sorted(ranges):
        if r.start >= r.end:
            continue
        if found and r.start <= found[-1].end:
            found[-1] = Range(found[-1].start, max(found[-1].end, r.end))
        else:
            found.append(r)
    return found


def without(ranges: Iterable[Range], gone: Range) -> list[Range]:
    """What is left of the ranges, in their order; of a range with a hole the later part first."""
    pieces = (
        piece
        for r in ranges
        for piece in (Range(max(r.start, gone.end), r.end), Range(r.start, min(r.end, gone.start)))
    )
    return [piece for piece in pieces if piece.start < piece.end]


def cut(r: Range, at: datetime) -> tuple[Range, Range]:
    """The windows that start before `at`, and the others; either part may be empty."""
    at = min(max(at, r.start), r.end)
    boundary = r.end - (r.end - at) // WINDOW * WINDOW
    return Range(r.start, boundary), Range(boundary, r.end)


def months(r: Range) -> Iterator[Range]:
    """Its calendar months, newest first: none is longer than the 31 days that one request may span."""
    end = r.end
    while end > r.start:
        last = end - WINDOW
        start = max(r.start, datetime(last.year, last.month, 1))
        yield Range(start, end)
        end = start


def days(r: Range) -> Iterator[Range]:
    """Its calendar days, newest first."""
    return _steps(r, DAY)


def hours(r: Range) -> Iterator[Range]:
    """Its hours, newest first; the first and the last may be cut short."""
    return _steps(r, HOUR)


def likely_busy_first(candidates: Sequence[Range]) -> Iterator[Range]:
    """Of days, newest first: weekdays, the newest and then ever further back, so that one dead week hides nothing; then
    the rest.
    """
    weekdays = [day for day in candidates if day.start.weekday() < 5]
    first = [weekdays[2**n - 1] for n in range(len(weekdays).bit_length())]
    yield from first
    yield from (day for day in candidates if day not in first)


def in_one_day(r: Range) -> bool:
    """Whether no midnight lies inside it."""
    return r.start.date() == (r.end - WINDOW).date()


def halves(r: Range) -> tuple[Range, Range]:
    """Cuts a range of two windows or more in an earlier and a later part.

    At the most natural boundary inside it, of several the one next to the middle; of two as near the later.
    """
    middle = r.start + (r.end - r.start) / 2
    midnight = datetime.combine(r.start.date(), time())
    for unit in _NATURAL:
        before = midnight + (middle - midnight) // unit * unit
        after = before + unit
        at = after if after - middle <= middle - before else before
        for boundary in (at, before, after):
            if r.start < boundary < r.end:
                return Range(r.start, boundary), Range(boundary, r.end)
    raise ValueError(f"a single window cannot be cut: {r}")


def _steps(r: Range, unit: timedelta) -> Iterator[Range]:
    end = r.end
    while end > r.start:
        midnight = datetime.combine((end - WINDOW).date(), time())
        start = max(r.start, midnight + (end - WINDOW - midnight) // unit * unit)
        yield Range(start, end)
        end = start
