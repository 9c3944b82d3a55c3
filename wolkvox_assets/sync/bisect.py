"""Asking as little as possible, where additivity was proved: ask a range, split it where that is needed, subtract.

What belongs here: deriving, auditing what was derived, and what happens when the API contradicts itself.
What doesn't: proving additivity (`proof.py`).

Requests: one for the range itself and one for each cut; a range of n windows is cut at most n - 1 times. So it
is never more than one a window, audits and distrust aside, and one for a range that is empty or unchanged.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from wolkvox_assets.report.measures import NOTHING, Agents, in_use
from wolkvox_assets.report.windows import Range, contiguous, one
from wolkvox_assets.sync.compare import Disagreement, difference, remainder
from wolkvox_assets.sync.direct import ask_directly
from wolkvox_assets.sync.divide import halves, in_one_day, months
from wolkvox_assets.sync.steps import (
    Ask,
    Audited,
    Discard,
    Known,
    KnownEmpty,
    Proof,
    Source,
    Step,
    Stored,
    Verified,
)

_HOUR = 12  # windows

AUDITS = 3
"""How many derived windows are asked as well, of each day that has any; fewer of a short range."""


def derive(ranges: Iterable[Range], ask: Ask, stored: Stored, seed: int) -> Iterator[Step]:
    """Makes settled ranges true, month by month; directly from the first contradiction on."""
    random = Random(seed)  # noqa: S311 - draws audits, repeatably; keeps no secret
    trusted = True
    for r in ranges:
        for month in months(r):
            if trusted:
                trusted = yield from _Month(month, ask, stored, random, seed).reconcile()
            else:
                yield from ask_directly([month], ask)


@dataclass(frozen=True, slots=True)
class _Held:
    """What is stored of a range: how many of its windows are known, and their sums without all-zero rows."""

    known: int
    totals: Agents

    def without(self, part: "_Held") -> "_Held":
        totals = dict(self.totals)
        for name, usage in part.totals.items():
            left = totals.pop(name, NOTHING).minus(usage)
            if left != NOTHING:
                totals[name] = left
        return _Held(self.known - part.known, totals)


_NOTHING_HELD = _Held(0, {})


@dataclass
class _Month:
    """One range within a calendar month, and what this run has done about it so far."""

    whole: Range
    ask: Ask
    stored: Stored
    random: Random
    seed: int
    asked: set[datetime] = field(default_factory=set)
    derived: set[datetime] = field(default_factory=set)
    # Content of the windows derived since the last audit: a day's at most, or a longer range of empty ones.
    unaudited: dict[datetime, Agents] = field(default_factory=dict)

    def reconcile(self) -> Generator[Step, None, bool]:
        """Returns whether the API can still be trusted to be additive."""
        try:
            held = self._held(self.whole)
            yield from self._settle(self.whole, self.ask(self.whole), Source.ASKED, held)
            yield from self._audit(self.whole)
        except Disagreement as found:
            evidence = f"{found}."
        else:
            return True
        yield from self._distrust(evidence)
        return False

    def _held(self, r: Range) -> _Held:
        known = self.stored.known(r)
        return _Held(known, in_use(self.stored.totals(r))) if known else _NOTHING_HELD

    def _settle(self, r: Range, answer: Agents, source: Source, held: _Held) -> Iterator[Step]:
        """Makes `r` true, of which the whole is known: `source` says whether it was asked or derived itself.

        `held`: what is stored of it.
        """
        whole = in_use(answer) if source is Source.ASKED else answer
        if len(r) == 1:
            yield self._single(r, answer, source, held.known == 1 and held.totals == whole)
        elif held.known == len(r) and held.totals == whole:
            yield Verified(r, asked=source is Source.ASKED)
        elif not whole:
            yield self._empty(r, source)
        else:
            earlier, later = self._cut(r)
            later_held = self._held(later) if held.known else _NOTHING_HELD
            earlier_held = held.without(later_held) if held.known else _NOTHING_HELD
            # Which of the two is asked makes no difference to the count; the newer one is wanted first.
            later_answer = self.ask(later)
            try:
                rest = remainder(whole, r, in_use(later_answer), later)
            except Disagreement:
                if source is not Source.ASKED:
                    raise
                # A record may have come in since the whole was asked: both once more, at one time.
                whole, later_answer = in_use(self.ask(r)), self.ask(later)
                rest = remainder(whole, r, in_use(later_answer), later)
            yield from self._settle(later, later_answer, Source.ASKED, later_held)
            # Audited day by day, so that what a contradiction spoils stays small.
            between_days = not in_one_day(r)
            if between_days:
                yield from self._audit(later)
            yield from self._settle(earlier, rest, Source.DERIVED, earlier_held)
            if between_days:
                yield from self._audit(earlier)

    def _cut(self, r: Range) -> tuple[Range, Range]:
        """In an earlier and a later part: where the day's use is likely to end or to begin, else in the middle.

        A part without use costs one request, however long it is.
        """
        if in_one_day(r) and len(r) > _HOUR:
            busy = self.stored.busy_hours(r.start.date())
            for boundary in (busy.end, busy.start) if busy else ():
                if r.start < boundary < r.end:
                    return Range(r.start, boundary), Range(boundary, r.end)
        return halves(r)

    def _single(self, r: Range, answer: Agents, source: Source, unchanged: bool) -> Step:
        window = r.start
        if source is Source.ASKED:
            self.asked.add(window)
            # Where it was derived until now, the stored word for it becomes 'asked'.
            unchanged = unchanged and not self.stored.derived(r)
        if unchanged:
            return Verified(r, asked=source is Source.ASKED)
        if source is Source.DERIVED:
            self._remember(window, answer)
        return Known(window, answer, source)

    def _empty(self, r: Range, source: Source) -> Step:
        if source is Source.ASKED:
            return KnownEmpty(r, Source.EMPTY_RANGE)
        for window in r.windows():
            self._remember(window, {})
        return KnownEmpty(r, Source.DERIVED)

    def _remember(self, window: datetime, content: Agents) -> None:
        self.derived.add(window)
        self.unaudited[window] = content

    def _audit(self, r: Range) -> Iterator[Step]:
        """Asks a few of the windows derived since the last audit, all of them in `r`."""
        if not self.unaudited:
            return
        derived, self.unaudited = self.unaudited, {}
        # At most 3 % of the windows, but at least one: what nobody looks at proves nothing.
        count = min(len(derived), AUDITS, max(1, len(r) * 3 // 100))
        # Where most are empty, chance alone would look at empty ones only, which say little.
        in_use_ones = sorted(window for window, content in derived.items() if content)
        drawn = self.random.sample(in_use_ones, min(len(in_use_ones), max(1, count - 1)))
        others = sorted(derived.keys() - set(drawn))
        drawn += self.random.sample(others, count - len(drawn))
        for window in drawn:
            answer = self.ask(one(window))
            if in_use(answer) != derived[window]:
                raise Disagreement(
                    f"{one(window)} was derived and then asked as an audit:"
                    f" {difference(derived[window], in_use(answer))}"
                )
            self.asked.add(window)
            yield Known(window, answer, Source.ASKED)
        yield Audited(r, tuple(sorted(drawn)), len(derived), self.seed)

    def _distrust(self, evidence: str) -> Iterator[Step]:
        """Throws away what was derived in this month, and asks every window that wasn't asked by itself."""
        self.unaudited = {}
        untrue = (self.derived | set(self.stored.derived(self.whole))) - self.asked
        # Before the verdict: were only the verdict stored, what was derived would stay.
        if untrue:
            yield Discard(tuple(contiguous(untrue)), evidence)
        yield Proof(holds=False, evidence=evidence)
        # All, also what was verified or found empty as part of a whole: those wholes are what is in doubt.
        left = contiguous(w for w in self.whole.windows() if w not in self.asked)
        yield from ask_directly(reversed(left), self.ask)
