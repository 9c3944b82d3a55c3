"""Windows that are not known: those of the last days, which the tick fills, and those of history, which runs of the
asset fill.

What belongs here: who fills which, and how many at a time. What doesn't: what is due besides (`due_work.py`).
Filling them is not here either. A window that cannot be had stays a gap, and rests: nothing else waits for it.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from wolkvox_assets.pipeline import due_work
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.evidence import resting
from wolkvox_assets.store.gaps import holes, verified

RECENT_DAYS = 3
"""Gaps of so many days come before all other history."""

# More than a tick gets done at the pace of a slow server.
_MOST_OF_A_TICK = 3 * 288
# Long enough to ask little, short enough that what is newer by then comes first.
_MOST_OF_A_RUN = 31 * 288


def recent(store: Store, operation: Operation, now: datetime) -> list[Range]:
    """Those of the last days, newest first."""
    return _gaps(store, operation, now, since=_first_recent_day(operation, now), most=_MOST_OF_A_TICK)


def of_history(store: Store, operation: Operation, now: datetime) -> list[Range]:
    """Those before the last days, newest first."""
    return _gaps(store, operation, now, before=_first_recent_day(operation, now), most=_MOST_OF_A_RUN)


def whole_days(
    store: Store, operation: Operation, days: Iterable[date], now: datetime, most: int
) -> list[Range]:
    """The first of these days (wall clock) of which every window is known, `most` of them."""
    found: list[Range] = []
    with store.reading() as con:
        if con is None:
            return found
        for day in days:
            windows = operation.clock.windows_of_day(day)
            whole = Range(windows[0], windows[-1] + WINDOW)
            if len(verified(con, operation.name, whole.start, whole.end, now)) == len(windows):
                found.append(whole)
            if len(found) == most:
                break
    return found


def _first_recent_day(operation: Operation, now: datetime) -> date:
    return operation.clock.now(now).date() - timedelta(days=RECENT_DAYS)


def _gaps(
    store: Store,
    operation: Operation,
    now: datetime,
    *,
    most: int,
    since: date = date.min,
    before: date = date.max,
) -> list[Range]:
    with store.reading() as con:
        left_out = resting(con, operation.name, now) if con else set()
        return due_work.gaps(
            operation,
            lambda r: holes(con, operation.name, r.start, r.end, now, left_out) if con else [r],
            now,
            most=most,
            since=since,
            before=before,
        )
