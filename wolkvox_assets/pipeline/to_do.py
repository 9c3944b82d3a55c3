"""What there is to do for an operation now: the rules of `due_work.py`, with what is stored.

What belongs here: who does which of it (the tick, or runs of the asset), and how much at a time. What doesn't: the
rules, and doing it. A window that cannot be had rests: nothing else waits for it.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta

from wolkvox_assets.pipeline import due_work
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.additivity import latest_verdict
from wolkvox_assets.store.evidence import resting
from wolkvox_assets.store.gaps import days_known, holes, known_since, verified
from wolkvox_assets.store.tables import reading
from wolkvox_assets.sync.divide import cut

_HOUR = timedelta(hours=1)

RECENT_DAYS = 3
"""Gaps of so many days are the tick's, and come before all other history."""

# All of them: with a fast server a tick gets it done. At the pace of a slow one the next goes on.
_MOST_OF_A_TICK = (RECENT_DAYS + 1) * 288
# Long enough to ask little, short enough that what is newer by then comes first.
_MOST_OF_A_RUN = 31 * 288


def live_windows(
    store: Store, operations: Sequence[Operation], now: datetime, delay: timedelta
) -> dict[str, list[datetime]]:
    """By `Operation.label`, those that have closed lately. `delay`: how long after its end a window is first asked."""
    with store.reading() as con:
        reports = {operation.report for operation in operations}
        # An hour more than they can be old, where clocks have just gone forward.
        since = min(operation.clock.now(now) for operation in operations) - due_work.LIVE_FOR - _HOUR
        known = {report: known_since(con, report, since, now) if con else {} for report in reports}
        found = {}
        for operation in operations:
            there = known[operation.report].get(operation.name, set())
            windows = due_work.live_windows(operation, there, now, delay)
            found[operation.label] = _but_resting(store, operation, windows, now)
    return found


def to_verify(store: Store, operation: Operation, now: datetime) -> list[datetime]:
    """Known windows that are to be asked about again."""
    with reading(store, operation.name, operation.report) as tables:  # opened once for all that is read
        verdict = latest_verdict(tables) if tables else None
        days = days_known(tables, operation.start, now) if tables else {}
        additivity = due_work.additivity_at(verdict, now)
        windows = due_work.to_verify(operation, _known(store, operation, now), days, additivity, now)
        return _but_resting(store, operation, windows, now)


def recent_gaps(store: Store, operation: Operation, now: datetime) -> list[datetime]:
    """Windows of the last days that are not known: a tick's worth of them, the newest."""
    _, recent = _history(operation, now)
    found = due_work.gaps(operation.clock, _holes(store, operation, recent, now), now, _MOST_OF_A_TICK)
    return [window for range_ in found for window in range_.windows()]


def history(store: Store, operation: Operation, now: datetime) -> list[Range]:
    """Windows before the last days that are not known, newest first: a run's worth of them."""
    earlier, _ = _history(operation, now)
    return due_work.gaps(operation.clock, _holes(store, operation, earlier, now), now, _MOST_OF_A_RUN)


def missing(store: Store, operation: Operation, now: datetime) -> list[Range]:
    """All windows that are over and not known, newest first, but for those of the last hour. Also such as rest."""
    holes = _holes(store, operation, due_work.history(operation, now), now, resting_too=True)
    return due_work.gaps(operation.clock, holes, now, sys.maxsize)


def whole_days(
    store: Store, operation: Operation, days: Iterable[date], now: datetime, most: int
) -> list[Range]:
    """The first of these days (wall clock) of which every window is known, `most` of them."""
    found: list[Range] = []
    known = _known(store, operation, now)
    for day in days:
        windows = operation.clock.windows_of_day(day)
        whole = Range(windows[0], windows[-1] + WINDOW)
        if len(known(whole)) == len(windows):
            found.append(whole)
        if len(found) == most:
            break
    return found


def _known(store: Store, operation: Operation, now: datetime) -> Callable[[Range], dict[datetime, datetime]]:
    """The known windows of a range, and when each was verified (UTC, naive)."""

    def known(asked: Range) -> dict[datetime, datetime]:
        with reading(store, operation.name, operation.report) as tables:
            return verified(tables, asked, now) if tables else {}

    return known


def _but_resting(
    store: Store, operation: Operation, windows: list[datetime], now: datetime
) -> list[datetime]:
    if not windows:
        return []
    with reading(store, operation.name, operation.report) as tables:
        left_out = resting(tables, now) if tables else set()
    return [window for window in windows if window not in left_out]


def _history(operation: Operation, now: datetime) -> tuple[Range, Range]:
    """What comes before the last days, and these."""
    first_recent = operation.clock.now(now).date() - timedelta(days=RECENT_DAYS)
    return cut(due_work.history(operation, now), datetime.combine(first_recent, datetime.min.time()))


def _holes(
    store: Store, operation: Operation, span: Range, now: datetime, *, resting_too: bool = False
) -> list[Range]:
    """The ranges of this one without a known window, newest first."""
    if not len(span):
        return []
    with reading(store, operation.name, operation.report) as tables:
        if tables is None:
            return [span]
        return holes(tables, span, now, set() if resting_too else resting(tables, now))
