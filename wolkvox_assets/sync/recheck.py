"""Verifying what was asked window by window, where it is not proved that ranges add up.

What belongs here: comparing the answers for days and hours with the sums of their stored windows, and asking the
windows again where they differ. What doesn't: what was never asked, or was derived: an answer that equals the sum
of derived windows says nothing of them as long as additivity is in doubt (`proof.py`, `direct.py`).

A busy day on which its windows, its hours and the whole of it agree is a proof as well, and costs next to
nothing: an operation's live windows are asked one by one anyway, and its hours are verified as they settle.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wolkvox_assets.sync.compare import difference
from wolkvox_assets.sync.direct import ask_directly
from wolkvox_assets.sync.divide import days, hours, without
from wolkvox_assets.sync.proof import SHORTEST, agreement, is_busy
from wolkvox_assets.sync.steps import Ask, Proof, Step, Stored, Verified
from wolkvox_assets.usage import Agents, add_up, in_use
from wolkvox_assets.windows import Range, contiguous, one

# A sum that differs is a request that settled nothing: so many of them, and the windows are asked without.
_MOST_IN_VAIN = 24


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
    left = list(ranges)
    sums = _Sums(ask, stored)
    for r in ranges:
        if sums.in_vain > _MOST_IN_VAIN:
            break
        verdict = yield from sums.day(r)
        if verdict is not None:
            yield verdict
        if verdict is None or verdict.holds:
            left = without(left, r)
        if verdict is not None:
            # Where they don't add up, what agreed so far says nothing: all is asked but for what just was.
            again = left if verdict.holds else contiguous(sums.not_asked(ranges))[::-1]
            return again, verdict.holds
    yield from ask_directly(left, ask)
    return [], None


class _Disproved(Exception):
    """Windows and the range around them differ, also when both are asked again; its text is the evidence."""


@dataclass
class _Sums:
    ask: Ask
    stored: Stored
    asked: set[datetime] = field(default_factory=set)
    # Requests for sums that differed, less those that were saved by sums that did not.
    in_vain: int = 0

    def day(self, r: Range) -> Generator[Step, None, Proof | None]:
        """`r`: a day, or a part of one."""
        try:
            if len(r) <= len(next(hours(r))):
                yield from self._hour(r)
                return None
            # Before anything is said of them: what this very run verifies, it verifies as a day.
            verified = self.stored.asked(r)
            yield from self._whole_day(r)
            return (yield from self._proof(r, verified))
        except _Disproved as found:
            return Proof(holds=False, evidence=f"{found}.")

    def not_asked(self, ranges: Sequence[Range]) -> list[datetime]:
        """The windows of the ranges that were not asked by themselves in this run."""
        return [window for r in ranges for window in r.windows() if window not in self.asked]

    def _whole_day(self, r: Range) -> Generator[Step, None, None]:
        answer = in_use(self.ask(r))
        if answer == in_use(self.stored.totals(r)):
            self.in_vain -= len(r) - 1
            yield Verified(r)
            return
        self.in_vain += 1
        total = yield from self._hour_by_hour(r)
        if not self._agree(r, answer, total):
            # Records may have come in for hours that had been asked: once more.
            total = yield from self._hour_by_hour(r)
            self._must_agree(r, answer, total)

    def _hour_by_hour(self, r: Range) -> Generator[Step, None, Agents]:
        parts = []
        for hour in hours(r):
            if self.in_vain > _MOST_IN_VAIN:
                parts.append((yield from self._windows(hour)))
            else:
                parts.append((yield from self._hour(hour)))
        return add_up(parts)

    def _hour(self, r: Range) -> Generator[Step, None, Agents]:
        """`r`: an hour, or a part of one. Returns what its windows add up to."""
        if len(r) == 1:
            return (yield from self._windows(r))
        answer = in_use(self.ask(r))
        held = in_use(self.stored.totals(r))
        if answer == held:
            self.in_vain -= len(r) - 1
            yield Verified(r)
            return held
        self.in_vain += 1
        total = yield from self._windows(r)
        if not self._agree(r, answer, total):
            # A record may have come in for a window that had been asked: once more.
            total = yield from self._windows(r)
            self._must_agree(r, answer, total)
        return total

    def _windows(self, r: Range) -> Generator[Step, None, Agents]:
        parts = []
        for known in ask_directly([r], self.ask):
            yield known
            self.asked.add(known.window)
            parts.append(in_use(known.agents))
        return add_up(parts)

    def _agree(self, r: Range, answer: Agents, total: Agents) -> bool:
        # A record may have come in between two requests: then the range asked anew has it too.
        return total == answer or total == in_use(self.ask(r))

    def _must_agree(self, r: Range, answer: Agents, total: Agents) -> None:
        if not self._agree(r, answer, total):
            raise _Disproved(
                f"{r}: the sum of its windows and the answer for all of it differ: {difference(total, answer)}"
            )

    def _proof(self, r: Range, verified: Mapping[datetime, bool]) -> Generator[Step, None, Proof | None]:
        """The proof that `r` is, now that it agrees: nothing where it is too quiet, or not all of it was asked.

        `verified`: of the windows that were asked, whether they were verified since, within their hours.
        """
        windows = {window: in_use(self.stored.totals(one(window))) for window in r.windows()}
        if self.asked.intersection(windows) or verified.keys() < windows.keys():
            return None  # another day will do: of this one, what was stored a moment ago counts no more
        total = add_up(windows.values())
        if r.end - r.start < SHORTEST or not is_busy(total, sum(map(bool, windows.values()))):
            return None
        agreeing = [hour for hour in hours(r) if len(hour) > 1]
        for hour in agreeing:
            if not all(verified[window] for window in hour.windows()):
                yield from self._hour(hour)
        if self.asked.intersection(windows):
            # An hour did not agree although the day did: what cancelled out may stand in any other.
            yield from self._hour_by_hour(r)
            return None
        return agreement(r, total, len(agreeing))
