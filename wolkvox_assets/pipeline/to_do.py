"""What there is to do for an operation now: the rules of `due_work.py`, with what is stored.

What belongs here: who does which of it (the tick, or runs of the asset), and how much at a time. What doesn't: the
rules, and doing it. A window that cannot be had rests: nothing else waits for it.
"""

import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from wolkvox_assets.pipeline import due_work
from wolkvox_assets.report.windows import WINDOW, Range, contiguous
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.additivity import Verdict, latest_verdicts
from wolkvox_assets.store.evidence import resting
from wolkvox_assets.store.gaps import DayKnown, days_known, holes, known_since, verified
from wolkvox_assets.store.tables import reading
from wolkvox_assets.store.windows import naive_utc
from wolkvox_assets.sync.divide import cut

RECENT_DAYS = 3
"""Gaps of so many days are the tick's, and come before all other history."""

# All of them: with a fast server a tick gets it done. At the pace of a slow one the next goes on.
_MOST_OF_A_TICK = (RECENT_DAYS + 1) * 288
# Long enough to ask little, short enough that what is newer by then comes first.
_MOST_OF_A_RUN = 31 * 288


class Known(NamedTuple):
    """What is stored of an operation, as far as it says what a tick has to do.

    `windows`: those known from `since` on (wall clock), and when each was verified. `days`: all of which a window is
    known. `resting`: windows that are left out for now.
    """

    since: datetime
    windows: dict[datetime, datetime]
    days: Mapping[date, DayKnown]
    verdict: Verdict | None
    resting: Container[datetime]

    def now_has(self, windows: Iterable[datetime], now: datetime) -> None:
        """These were stored at `now` (aware), since all this was read."""
        self.windows.update(dict.fromkeys(windows, naive_utc(now)))


def known_of(store: Store, operations: Sequence[Operation], now: datetime) -> dict[str, Known]:
    """By `Operation.label`, at `now` (aware). With the same queries for all of them: in a lake each of them costs,
    however little it reads.
    """
    since = min(_first_recent(operation, now) for operation in operations)
    found: dict[str, Known] = {}
    with store.reading() as con:
        for report in {operation.report for operation in operations}:
            its = [operation for operation in operations if operation.report == report]
            names = [operation.name for operation in its]
            windows = known_since(con, report, names, since, now) if con else {}
            days = days_known(con, report, names, now) if con else {}
            verdicts = latest_verdicts(con, report) if con else {}
            left_out = resting(con, report, now) if con else {}
            found |= {
                one.label: Known(
                    since,
                    windows.get(one.name, {}),
                    days.get(one.name, {}),
                    verdicts.get(one.name),
                    left_out.get(one.name, ()),
                )
                for one in its
            }
    return found


def live_windows(operation: Operation, known: Known, now: datetime, delay: timedelta) -> list[datetime]:
    """Those that have closed lately. `delay`: how long after its end a window is first asked."""
    windows = due_work.live_windows(operation, known.windows, now, delay)
    return [window for window in windows if window not in known.resting]


def to_verify(store: Store, operation: Operation, known: Known, now: datetime) -> list[datetime]:
    """Known windows that are to be asked about again."""

    def verified(asked: Range) -> Mapping[datetime, datetime]:
        if asked.start < known.since:
            return _verified(store, operation, now)(asked)
        return {window: at for window, at in known.windows.items() if asked.start <= window < asked.end}

    additivity = due_work.additivity_at(known.verdict, now)
    windows = due_work.to_verify(operation, verified, known.days, additivity, now)
    return [window for window in windows if window not in known.resting]


def recent_gaps(operation: Operation, known: Known, now: datetime) -> list[datetime]:
    """Windows of the last days that are not known: a tick's worth of them, the newest."""
    _, recent = cut(due_work.history(operation, now), max(_first_recent(operation, now), known.since))
    unknown = [w for w in recent.windows() if w not in known.windows and w not in known.resting]
    found = due_work.gaps(operation.clock, contiguous(unknown)[::-1], now, _MOST_OF_A_TICK)
    return [window for range_ in found for window in range_.windows()]


def history(store: Store, operation: Operation, now: datetime) -> list[Range]:
    """Windows before the last days that are not known, newest first: a run's worth of them."""
    earlier, _ = cut(due_work.history(operation, now), _first_recent(operation, now))
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
    verified = _verified(store, operation, now)
    for day in days:
        windows = operation.clock.windows_of_day(day)
        whole = Range(windows[0], windows[-1] + WINDOW)
        if len(verified(whole)) == len(windows):
            found.append(whole)
        if len(found) == most:
            break
    return found


def _verified(
    store: Store, operation: Operation, now: datetime
) -> Callable[[Range], dict[datetime, datetime]]:
    """The known windows of a range, and when each was verified (UTC, naive)."""

    def of(asked: Range) -> dict[datetime, datetime]:
        with reading(store, operation.name, operation.report) as tables:
            return verified(tables, asked, now) if tables else {}

    return of


def all_is_recent(operation: Operation, now: datetime) -> bool:
    """Whether no gap can be older than those that ticks fill."""
    return operation.start >= _first_recent(operation, now).date()


def _first_recent(operation: Operation, now: datetime) -> datetime:
    """The midnight (wall clock) before which gaps are no longer a tick's."""
    day = operation.clock.now(now).date() - timedelta(days=RECENT_DAYS)
    return datetime.combine(day, datetime.min.time())


def _holes(
    store: Store, operation: Operation, span: Range, now: datetime, *, resting_too: bool = False
) -> list[Range]:
    """The ranges of this one without a known window, newest first."""
    if not len(span):
        return []
    with reading(store, operation.name, operation.report) as tables:
        if tables is None:
            return [span]
        left_out = resting(tables.con, tables.report, now).get(operation.name, ())
        return holes(tables, span, now, () if resting_too else left_out)
