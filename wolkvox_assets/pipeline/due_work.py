"""What is due for an operation now: new windows, settled hours, closed days, gaps.

What belongs here: deciding what is due, from the clock and from what is stored. What doesn't: doing it
(`tick.py`, `reconcile.py`), reading what is stored (`to_do.py`), starting runs (`orchestration/`).
"""

from collections.abc import Callable, Container, Iterable, Mapping
from datetime import date, datetime, timedelta

from wolkvox_assets.report.clocks import FUTURE_AFTER
from wolkvox_assets.report.windows import WINDOW, Range, WallClock, contiguous
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.additivity import Verdict
from wolkvox_assets.store.windows import naive_utc
from wolkvox_assets.sync import Additivity
from wolkvox_assets.sync.divide import merged

SETTLED_AFTER = timedelta(hours=1)
"""After this an answer is taken to change no more, or only as a late record that verification finds [?]."""

LIVE_FOR = timedelta(minutes=70)
"""Windows that ended longer ago are a gap, no longer live: ten minutes more than it takes to settle."""

VERIFIED_DAILY = timedelta(days=31)
"""These last days are verified once a day, with a request for each calendar month of them: vendors' servers close
records late [F], others document changes for weeks [?]. What is older is verified once a month."""

# A day with a gap waits so long for it: once it is whole, one request verifies it.
_WAITS_FOR_GAPS = timedelta(days=2)
_MONTHS_TURN = (
    28  # days: each month of history has its own, so that a long history costs a request or two a day
)

# How long a verdict on additivity is good for.
PROVED_FOR = timedelta(days=30)
FAILED_FOR = timedelta(days=7)

_HOURS_BACK = timedelta(hours=30)


def additivity_at(verdict: Verdict | None, now: datetime) -> Additivity:
    """What a verdict on whether the API's answers add up is worth at `now` (aware)."""
    if verdict is None:
        return Additivity.UNPROVED
    good_for = PROVED_FOR if verdict.holds else FAILED_FOR
    if verdict.proved_at > now + FUTURE_AFTER or now - verdict.proved_at >= good_for:
        return Additivity.UNPROVED
    return Additivity.PROVED if verdict.holds else Additivity.FAILED


def ended(operation: Operation, windows: Iterable[datetime], now: datetime) -> list[datetime]:
    """Those that are over for good at `now` (aware), each once, in order."""
    return sorted(window for window in set(windows) if operation.clock.end_utc(window) <= now)


def live_windows(
    operation: Operation, known: Container[datetime], now: datetime, delay: timedelta
) -> list[datetime]:
    """Windows that ended lately, at least `delay` before `now` (aware), and are not known."""
    candidates = ended(operation, operation.clock.passes(_floor(now - LIVE_FOR), now), now - delay)
    return [window for window in candidates if window.date() >= operation.start and window not in known]


def to_verify(
    operation: Operation,
    verified: Callable[[Range], Mapping[datetime, datetime]],
    days: Mapping[date, tuple[int, datetime]],
    additivity: Additivity,
    now: datetime,
) -> list[datetime]:
    """Known windows that are due to be verified: of hours that have settled, of days that have closed.

    `verified`: of a range, when each known window was verified (UTC, naive). `days`: those of which a window is
    known: how many are, and when the one was verified that was verified longest ago (UTC, naive).

    Each hour comes once, when all its windows have settled. Each day comes when it has closed, however long nobody
    looked; then once a day for `VERIFIED_DAILY`, and once a month from then on. Where additivity failed, verifying
    costs a request a window: then a day comes once, when it has closed.
    """
    clock = operation.clock
    today = clock.now(now - SETTLED_AFTER).date()
    due: list[datetime] = []
    for day, (known, verified_at) in days.items():
        since = _verified_since(clock, day, today, additivity)
        if not operation.start <= day < today or verified_at >= since:
            continue
        if known < len(clock.windows_of_day(day)):
            if today - day < _WAITS_FOR_GAPS:
                continue
            since = closed_at(clock, day)
        midnight = datetime.combine(day, datetime.min.time())
        at = verified(Range(midnight, midnight + timedelta(days=1)))
        due += [window for window in sorted(at) if at[window] < since]
    if additivity is not Additivity.FAILED:
        hours_from = clock.now(now - _HOURS_BACK).replace(minute=0, second=0, microsecond=0)
        there = verified(Range(hours_from, clock.now(now).replace(second=0, microsecond=0)))
        settled = [w for w in there if clock.end_utc(w) <= now - SETTLED_AFTER and w.date() >= today]
        for hour in {window.replace(minute=0) for window in settled}:
            windows = [w for w in Range(hour, hour + timedelta(hours=1)).windows() if clock.shows(w)]
            if clock.end_utc(windows[-1]) <= now - SETTLED_AFTER:
                due += _due(windows, there, naive_utc(clock.end_utc(windows[-1]) + SETTLED_AFTER))
    return due


def _verified_since(clock: WallClock, day: date, today: date, additivity: Additivity) -> datetime:
    """The moment (UTC, naive) since which this day, which is whole and has closed, must have been verified."""
    closed = closed_at(clock, day)
    if additivity is Additivity.FAILED:
        return closed
    if today - day <= VERIFIED_DAILY:
        return closed_at(clock, today - timedelta(days=1))
    turn = today.replace(day=1 + (day.year * 12 + day.month) % _MONTHS_TURN)
    if turn > today:
        turn = (turn.replace(day=1) - timedelta(days=1)).replace(day=turn.day)
    return max(closed, closed_at(clock, turn - timedelta(days=1)))


def closed_at(clock: WallClock, day: date) -> datetime:
    """When all windows of this day have settled (UTC, naive)."""
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time())
    return naive_utc(clock.start_utc(midnight) + SETTLED_AFTER)


def history(operation: Operation, now: datetime) -> Range:
    """From the operation's first day to the windows that are live; nothing where it is still to come."""
    start = datetime.combine(operation.start, datetime.min.time())
    return Range(start, max(start, operation.clock.now(_floor(now - LIVE_FOR))))


def gaps(clock: WallClock, holes: Iterable[Range], now: datetime, most: int) -> list[Range]:
    """Settled windows that are not known, newest first, `most` of them at most.

    `holes`: ranges without a known window, newest first; hours that the clock skips may be in them.
    """
    found: list[Range] = []
    left = most
    for hole in holes:
        # Newest first, also within a hole that is longer than what is left to take.
        newest = Range(hole.start if left >= len(hole) else hole.end - left * WINDOW, hole.end)
        there = _shown_and_settled(clock, newest, now)
        found += there[::-1]
        left -= sum(map(len, there))
        if left <= 0:
            break
    return found


def next_live(now: datetime, delay: timedelta) -> datetime:
    """When the next window is due (aware)."""
    return _floor(now - delay) + WINDOW + delay


def _due(windows: list[datetime], verified: Mapping[datetime, datetime], since: datetime) -> list[datetime]:
    """Those not verified since, where all are known; a part of it is a gap first."""
    if not all(window in verified for window in windows):
        return []
    return [window for window in windows if verified[window] < since]


def _shown_and_settled(clock: WallClock, range_: Range, now: datetime) -> list[Range]:
    """The windows of this range that the clock shows and that have settled, as ranges, in order.

    Day by day, since asking the time zone about each window of a month takes a second, and most days are
    like any other.
    """
    pieces: list[Range] = []
    midnight = datetime.combine(range_.start.date(), datetime.min.time())
    while midnight < range_.end:
        tomorrow = midnight + timedelta(days=1)
        day = Range(max(range_.start, midnight), min(range_.end, tomorrow))
        ordinary = clock.start_utc(tomorrow) - clock.start_utc(midnight) == timedelta(days=1)
        if ordinary and clock.end_utc(day.end - WINDOW) <= now - SETTLED_AFTER:
            pieces.append(day)
        else:
            pieces += contiguous(
                w for w in day.windows() if clock.shows(w) and clock.end_utc(w) <= now - SETTLED_AFTER
            )
        midnight = tomorrow
    return merged(pieces)


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=moment.minute - moment.minute % 5, second=0, microsecond=0)
