"""Verifying by sums: the answer for a day or an hour held against what its windows add up to.

What belongs here: that comparison, asking again where the two differ, and what makes a proof of additivity. What
doesn't: which ranges are compared (`proof.py`: asked just now; `verify_by_sums.py`: stored).

Records come in at any time. So before it is said that ranges don't add up, both sides are asked anew: a record
that came between the two is then in both.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wolkvox_assets.report.measures import Agents, add_up, in_all, in_use
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.report.windows import Range
from wolkvox_assets.sync.compare import difference
from wolkvox_assets.sync.direct import ask_directly
from wolkvox_assets.sync.divide import hours
from wolkvox_assets.sync.steps import Ask, Proof, Step, Verified

# Busy enough to prove anything. What is feared most is an API that counts a use in every range it touches.
# It shows where a use crosses from one window into the next within an hour. A use of s seconds does so with
# a chance of about s/300 · 11/12, so 4,500 seconds of use make 14 crossings to be expected, and none at all
# happens once in a million; even if hold and mute always ran at the same time (half the seconds), once in
# a thousand. The other two keep a few long uses, or one bad hour, from passing for a busy day.
BUSY_SECONDS = 4500
BUSY_USES = 60
BUSY_WINDOWS = 24
SHORTEST = timedelta(hours=2)

# A sum that differs is a request that settled nothing: so many of them, and the windows are asked without.
MOST_IN_VAIN = 24


class Disproved(Exception):
    """Windows and the range around them differ, also when both are asked again; its text is the evidence."""


@dataclass
class Sums:
    """`held`: what the windows of an hour, a day or a month are known to add up to, if not asked in this run."""

    ask: Ask
    held: Callable[[Range], Agents]
    # Windows that were asked in this run, and what the windows of the hours (by their start) then added up to.
    asked: set[datetime] = field(default_factory=set)
    now: dict[datetime, Agents] = field(default_factory=dict)
    # Requests for sums that differed, less those that were saved by sums that did not.
    in_vain: int = 0

    def equal(self, r: Range) -> Generator[Step, None, bool]:
        """Whether the answer for `r` is what its windows are known to add up to."""
        return (yield from self._equal(r, in_use(self.ask(r)), in_use(self.held(r))))

    def day(self, r: Range) -> Generator[Step, None, None]:
        """Makes a day, or a part of one, true of which all windows were asked at some time."""
        answer = in_use(self.ask(r))
        if (yield from self._equal(r, answer, in_use(self.held(r)))):
            return
        total = yield from self.hour_by_hour(r)
        yield from self._settle(r, answer, total)

    def hours_and_whole(self, r: Range, whole: Agents | None) -> Generator[Step, None, None]:
        """Compares a day, or a part of one, with its hours, and those with their windows: all were asked just now.

        `whole`: the answer for all of it, where it is there.
        """
        total = yield from self.hour_by_hour(r)
        yield from self._settle(r, in_use(self.ask(r)) if whole is None else whole, total)

    def hour_by_hour(self, r: Range) -> Generator[Step, None, Agents]:
        """Returns what the windows of `r` add up to."""
        parts = []
        for hour in hours(r):
            if self.in_vain > MOST_IN_VAIN:
                parts.append((yield from self.windows(hour)))
            else:
                parts.append((yield from self.hour(hour)))
        return add_up(parts)

    def hour(self, r: Range) -> Generator[Step, None, Agents]:
        """Makes an hour, or a part of one, true. Returns what its windows add up to."""
        just_asked = r.start in self.now
        if len(r) == 1:
            return self.now[r.start] if just_asked else (yield from self.windows(r))
        answer, held = in_use(self.ask(r)), self.now[r.start] if just_asked else in_use(self.held(r))
        if just_asked and answer == held:
            return held  # nothing to verify: that is how they are stored
        if not just_asked:
            if (yield from self._equal(r, answer, held)):
                return held
            total = yield from self.windows(r)
            if self._agree(r, answer, total):
                return total
        # A record may have come in for a window that had been asked: once more.
        total = yield from self.windows(r)
        self._must_agree(r, answer, total)
        return total

    def windows(self, r: Range) -> Generator[Step, None, Agents]:
        """Asks every window of `r` (a day, an hour, a part of one). Returns what they add up to."""
        known: dict[datetime, list[Agents]] = {hour.start: [] for hour in hours(r)}
        # All at once: whether the times are ignored is looked at once, and not in each hour.
        for step in ask_directly(hours(r), self.ask):
            yield step
            self.asked.add(step.window)
            known[max(r.start, step.window.replace(minute=0))].append(in_use(step.agents))
        sums = {hour: add_up(windows) for hour, windows in known.items()}
        self.now |= sums
        return add_up(sums.values())

    def _equal(self, r: Range, answer: Agents, held: Agents) -> Generator[Step, None, bool]:
        if answer != held:
            self.in_vain += 1
            return False
        self.in_vain -= len(r) - 1
        yield Verified(r)
        return True

    def _settle(self, r: Range, answer: Agents, total: Agents) -> Generator[Step, None, None]:
        if not self._agree(r, answer, total):
            # Records may have come in for hours that had been asked: once more.
            total = yield from self.hour_by_hour(r)
            self._must_agree(r, answer, total)

    def _agree(self, r: Range, answer: Agents, total: Agents) -> bool:
        # A record may have come in between two requests: then the range asked anew has it too.
        return total == answer or total == in_use(self.ask(r))

    def _must_agree(self, r: Range, answer: Agents, total: Agents) -> None:
        again = answer
        if total != answer and total != (again := in_use(self.ask(r))):
            raise Disproved(
                f"{r}: the sum of its windows and the answer for all of it differ: {difference(total, again)}."
            )


def is_busy(r: Range, agents: Agents, windows_in_use: int) -> bool:
    """Whether a range with these totals can prove anything."""
    return r.end - r.start >= SHORTEST and windows_in_use >= BUSY_WINDOWS and may_be_busy(agents)


def may_be_busy(agents: Agents) -> bool:
    """Whether it can, as far as the totals tell."""
    total = in_all(agents)
    if total is None or total[0] < BUSY_USES:
        return False
    return total.seconds is None or total.seconds >= BUSY_SECONDS


def agreement(range_: Range, total: Agents) -> Proof:
    """The proof that windows, hours and the whole of a busy range agree."""
    everything = in_all(total)
    uses = everything[0] if everything else 0
    hours_asked = sum(len(hour) > 1 for hour in hours(range_))
    return Proof(
        holds=True,
        evidence=(
            f"{range_}: {len(range_)} windows with {counted(uses, 'use')} by {counted(len(total), 'agent')} were "
            f"requested, {counted(hours_asked, 'hour')} and the whole range too: all of them agree, agent by agent."
        ),
    )
