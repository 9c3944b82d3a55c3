"""Verifying what was asked window by window, where it is not proved that ranges add up.

What belongs here: in which ranges that is done: one day that may be a proof, then months, and days where a month
differs. What doesn't: the comparison itself (`sums.py`); what was never asked, or was derived: an answer that
equals the sum of derived windows says nothing of them as long as additivity is in doubt (`proof.py`, `direct.py`).

A busy day on which its windows, its hours and the whole of it agree is a proof as well, and costs next to
nothing: an operation's live windows are asked one by one anyway, and its hours are verified as they settle.
"""

from collections.abc import Generator, Sequence

from wolkvox_assets.report.measures import Agents, in_use
from wolkvox_assets.report.windows import Range, contiguous, one
from wolkvox_assets.sync.direct import ask_directly
from wolkvox_assets.sync.divide import days, hours, merged, months, without
from wolkvox_assets.sync.steps import Ask, Proof, Step, Stored
from wolkvox_assets.sync.sums import MOST_IN_VAIN, Disproved, Sums, agreement, is_busy, may_be_busy


def asked_before(ranges: Sequence[Range], stored: Stored) -> list[Range]:
    """The days of the ranges, or parts of days, of which every window is known and none was derived."""
    return [
        day
        for r in ranges
        for derived in [{window.date() for window in stored.derived(r)}]
        for day in days(r)
        if stored.known(day) == len(day) and day.start.date() not in derived
    ]


def recheck(
    ranges: Sequence[Range], ask: Ask, stored: Stored
) -> Generator[Step, None, tuple[list[Range], bool | None]]:
    """Makes these (see `asked_before`) true until there is a verdict on additivity.

    Returns what is left of them, and the verdict; nothing and None where no day was busy enough for one.
    """
    sums = Sums(ask, stored.totals)
    left = list(ranges)
    # What may be a proof comes first: once it is there, all else is verified by it.
    for r in ranges:
        total = _provable(r, stored)
        if total is None or sums.in_vain > MOST_IN_VAIN:
            continue
        verdict = yield from _prove(r, total, sums, stored)
        left = without(left, r)
        if verdict is not None:
            yield verdict
            return _again(ranges, left, verdict, sums), verdict.holds
    for month in [part for r in merged(left)[::-1] for part in months(r)]:
        verdict = yield from _verify(month, sums)
        if verdict is not None:
            yield verdict
            return _again(ranges, left, verdict, sums), verdict.holds
    return [], None


def _again(ranges: Sequence[Range], left: list[Range], verdict: Proof, sums: Sums) -> list[Range]:
    if verdict.holds:
        return left
    # Where they don't add up, what agreed so far says nothing: all is asked but for what just was.
    windows = [window for r in ranges for window in r.windows() if window not in sums.asked]
    return contiguous(windows)[::-1]


def _verify(r: Range, sums: Sums) -> Generator[Step, None, Proof | None]:
    """Makes this part of a month true; a day at a time where it differs."""
    parts = list(days(r))
    if len(parts) > 1 and sums.in_vain <= MOST_IN_VAIN and (yield from sums.equal(r)):
        return None
    try:
        for day in parts:
            if sums.in_vain > MOST_IN_VAIN:
                yield from ask_directly([day], sums.ask)
            elif _is_in_one_hour(day):
                yield from sums.hour(day)
            else:
                yield from sums.day(day)
    except Disproved as found:
        return Proof(holds=False, evidence=str(found))
    return None


def _provable(r: Range, stored: Stored) -> Agents | None:
    """What the windows of this day add up to, if it can be a proof: it is busy, and each of them was asked."""
    total = in_use(stored.totals(r))
    if not may_be_busy(total) or len(stored.asked(r)) < len(r):
        return None
    return total if is_busy(r, total, sum(bool(in_use(stored.totals(one(w)))) for w in r.windows())) else None


def _prove(r: Range, total: Agents, sums: Sums, stored: Stored) -> Generator[Step, None, Proof | None]:
    """Makes a day true. Returns the verdict: none where something has changed, for what was stored a moment ago
    counts no more; another day will do."""
    # Before anything is said of them: what this very run verifies, it verifies as a day.
    agreed = stored.asked(r)
    try:
        yield from sums.day(r)
        if sums.asked.intersection(r.windows()):
            return None
        for hour in hours(r):
            if len(hour) > 1 and not all(agreed[window] for window in hour.windows()):
                yield from sums.hour(hour)
        if sums.asked.intersection(r.windows()):
            # An hour did not agree although the day did: what cancelled out may stand in any other.
            yield from sums.hour_by_hour(r)
            return None
    except Disproved as found:
        return Proof(holds=False, evidence=str(found))
    return agreement(r, total)


def _is_in_one_hour(r: Range) -> bool:
    return len(r) == len(next(hours(r)))
