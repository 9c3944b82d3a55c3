"""Asking as little as possible, where additivity was proved: ask a range, split it where that is needed, subtract.

What belongs here: deriving, auditing what was derived, and what happens when the API contradicts itself.
What doesn't: proving additivity (`proof.py`).

Requests: one for the range itself and one for each cut; a range of n windows is cut at most n - 1 times. So it
is never more than one a window, and one for a range that is empty or unchanged. To these come, for a day with
derived windows, one at its end and the audits; late records and distrust. Two or three unknown windows are asked one by
one: deriving one of them would save nothing.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from wolkvox_assets.report.measures import Agents, Usage, add_up, in_use
from wolkvox_assets.report.windows import Range, contiguous, one
from wolkvox_assets.sync.compare import Disagreement, NotEmpty, difference, remainder
from wolkvox_assets.sync.direct import ask_directly
from wolkvox_assets.sync.divide import DAY, halves, in_one_day, months
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

_FEW = 3  # windows: the check at the end and the audit cost what deriving one of them saves
_TIMES = 3  # that a day is settled anew because records came in meanwhile

AUDITS = 2
"""How many derived windows are asked as well, of each day that has any; fewer of a short range."""


def derive(ranges: Iterable[Range], ask: Ask, stored: Stored, seed: int) -> Iterator[Step]:
    """Makes settled ranges true, month by month; directly from the first contradiction on."""
    random = Random(seed)  # noqa: S311 - draws audits, repeatably; keeps no secret
    trusted = True
    for r in ranges:
        for month in months(r):
            if len(month) <= _FEW and not stored.known(month):
                yield from ask_directly([month], ask)
            elif trusted:
                trusted = yield from _Month(month, ask, stored, random, seed).reconcile()
            else:
                yield from ask_directly([month], ask)


@dataclass(frozen=True, slots=True)
class _Held:
    """What is stored of a range: how many of its windows are known, and their sums without all-zero rows."""

    known: int
    totals: Agents

    def equals(self, r: Range, whole: Agents) -> bool:
        return self.known == len(r) and self.totals == whole

    def without(self, part: "_Held") -> "_Held":
        totals = dict(self.totals)
        for name, usage in part.totals.items():
            before = totals.pop(name, None)
            left = usage.minus(usage.plus(usage)) if before is None else before.minus(usage)
            if any(left):
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
    empty: list[Range] = field(default_factory=list)
    # Of the day that is being settled: the content of the windows that this run replaced, and which of them were
    # derived and not asked since.
    content: dict[datetime, Agents] = field(default_factory=dict)
    unaudited: set[datetime] = field(default_factory=set)

    def reconcile(self) -> Generator[Step, None, bool]:
        """Returns whether the API can still be trusted to be additive."""
        try:
            answer = self.ask(self.whole)
            total = yield from self._settle(self.whole, answer, Source.ASKED, self._held(self.whole))
            if total != in_use(answer):
                self._may_have_grown(answer, total)
        except Disagreement as found:
            evidence = f"{found}."
        else:
            return True
        yield from self._distrust(evidence)
        return False

    def _may_have_grown(self, answer: Agents, total: Agents) -> None:
        """Its days were settled as they are by now, which need not be what the whole was at first."""
        if in_use(self.ask(self.whole)) == in_use(answer):
            raise Disagreement(
                f"{self.whole} had the same answer before its parts were requested and after, but they add up to "
                f"something else: {difference(in_use(answer), total)}"
            )

    def _held(self, r: Range) -> _Held:
        """What is stored, or was settled by this run."""
        replaced = (
            [self.content[window] for window in r.windows() if window in self.content] if self.content else []
        )
        rest = contiguous(w for w in r.windows() if w not in self.content) if replaced else [r]
        known = len(replaced) + sum(map(self.stored.known, rest))
        if not known:
            return _NOTHING_HELD
        return _Held(known, in_use(add_up([*replaced, *map(self.stored.totals, rest)])))

    def _settle(self, r: Range, answer: Agents, source: Source, held: _Held) -> Generator[Step, None, Agents]:
        """Makes `r` true, of which the whole is known: `source` says whether it was asked or derived itself.

        `held`: what is stored of it. Returns what it adds up to now, without all-zero rows.
        """
        if len(r) == 1 and source is Source.DERIVED:
            answer, source = self.ask(r), Source.ASKED  # as an audit of it would
        if in_one_day(r):
            if 1 < len(r) <= _FEW and in_use(answer) and not held.equals(r, in_use(answer)):
                return (yield from self._directly(r))
            return (yield from self._day(r, answer, source, held))
        if source is Source.DERIVED and not answer:
            # Nothing is left for whole days: asking is cheaper than auditing them, and surer.
            answer, source = self.ask(r), Source.ASKED
        return (yield from self._by_parts(r, answer, source, held))

    def _day(self, r: Range, answer: Agents, source: Source, held: _Held) -> Generator[Step, None, Agents]:
        """Makes a day, or a part of one, true.

        Records come in while its windows are asked, and one that its later part has and the whole did not is missing
        from what is derived. So the whole is asked once more at the end, and where it has grown, that is settled in
        turn. Only what contradicts an answer that has not changed meanwhile shows that ranges don't add up.
        """
        self.content, self.unaudited = {}, set()
        for _ in range(_TIMES):
            contradiction = None
            try:
                total = yield from self._by_parts(r, answer, source, held)
            except Disagreement as found:
                contradiction = found
            else:
                if not self.unaudited:
                    return total
            again = in_use(self.ask(r))
            if contradiction is None and again == total:
                try:
                    yield from self._audit(r)
                except Disagreement as found:
                    contradiction, answer, source = found, again, Source.ASKED
                    again = in_use(self.ask(r))
                else:
                    return total
            if source is Source.ASKED and again == in_use(answer):
                raise contradiction or Disagreement(
                    f"{r} had the same answer before its windows were requested and after, but they add up to something"
                    f" else: {difference(again, total)}"
                )
            answer, source, held = again, Source.ASKED, self._held(r)
        return (yield from self._directly(r))  # it grows faster than it can be derived

    def _directly(self, r: Range) -> Generator[Step, None, Agents]:
        parts = []
        for step in ask_directly([r], self.ask):
            self.asked.add(step.window)
            self._remember(step.window, step.agents, Source.ASKED)
            parts.append(in_use(step.agents))
            yield step
        return add_up(parts)

    def _by_parts(
        self, r: Range, answer: Agents, source: Source, held: _Held
    ) -> Generator[Step, None, Agents]:
        whole = in_use(answer) if source is Source.ASKED else answer
        if len(r) == 1:
            yield self._single(r, answer, source, held.equals(r, whole))
            return whole
        if held.equals(r, whole):
            yield Verified(r, asked=source is Source.ASKED)
            return whole
        if not whole and not (source is Source.ASKED and self._denied(r, held)):
            yield self._empty(r, source)
            return whole
        earlier, later = self._cut(r)
        later_held = self._held(later) if held.known else _NOTHING_HELD
        earlier_held = held.without(later_held) if held.known else _NOTHING_HELD
        # Which of the two is asked makes no difference to the count; the newer one is wanted first.
        cut = self._cut_off(r, whole, source is Source.ASKED, later)
        if cut is None:
            return (yield from self._directly(r))  # records come in faster than it can be cut
        later_answer, rest = cut
        settle = self._by_parts if in_one_day(r) else self._settle
        later_total = yield from settle(later, later_answer, Source.ASKED, later_held)
        earlier_total = yield from settle(earlier, rest, Source.DERIVED, earlier_held)
        return add_up([earlier_total, later_total])

    def _denied(self, r: Range, held: _Held) -> bool:
        """Whether an empty answer for `r` is denied by that for a window of it whose use is stored. If so, it goes on
        as with any part that is larger than its whole. Raises `NotEmpty` where the range is longer than a day, and
        `Disagreement` where it is not, and is answered as empty again: nothing can be derived from that.
        """
        if not held.totals:
            return False
        part = r
        while len(part) > 1:
            earlier, later = halves(part)
            part = later if self._held(later).totals else earlier
        denied = bool(in_use(self.ask(part)))
        if denied and r.end - r.start > DAY:
            raise NotEmpty(r, part)
        if denied and not in_use(self.ask(r)):
            raise Disagreement(f"{r} was answered as empty, twice, and {part} was not")
        return denied

    def _cut_off(
        self, r: Range, whole: Agents, asked: bool, later: Range
    ) -> tuple[Agents, dict[str, Usage]] | None:
        """Asks the later part of `r`, whose whole was `asked` itself or derived. Returns the answer for it, and the
        rest; None where the whole had grown each time that it was asked again.
        """
        part = self.ask(later)
        for _ in range(_TIMES):
            try:
                return part, remainder(whole, r, in_use(part), later)
            except Disagreement:
                again = in_use(self.ask(r))
                if asked and again == whole:
                    raise
            # Records came in since the whole was asked: both once more, at one time.
            whole, asked, part = again, True, self.ask(later)
        return None

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
        if source is Source.ASKED:
            # Where it was derived until now, the stored word for it becomes 'asked'.
            unchanged = unchanged and r.start not in self.derived and not self.stored.derived(r)
            self.asked.add(r.start)
        if unchanged:
            return Verified(r, asked=source is Source.ASKED)
        self._remember(r.start, answer, source)
        return Known(r.start, answer, source)

    def _empty(self, r: Range, source: Source) -> Step:
        for window in r.windows() if in_one_day(r) else ():
            self._remember(window, {}, source)
        self.empty.append(r)
        return KnownEmpty(r, Source.EMPTY_RANGE if source is Source.ASKED else source)

    def _remember(self, window: datetime, content: Agents, source: Source) -> None:
        self.content[window] = content
        if source is Source.DERIVED:
            self.derived.add(window)
            self.unaudited.add(window)
            self.asked.discard(window)
        else:
            self.derived.discard(window)
            self.unaudited.discard(window)

    def _audit(self, r: Range) -> Iterator[Step]:
        """Asks a few of the windows of this day that were derived and not asked since."""
        # At most 3 % of the windows, but at least one: what nobody looks at proves nothing.
        count = min(len(self.unaudited), AUDITS, max(1, len(r) * 3 // 100))
        # Where most are empty, chance alone would look at empty ones only, which say little.
        in_use_ones = sorted(window for window in self.unaudited if self.content[window])
        drawn = self.random.sample(in_use_ones, min(len(in_use_ones), max(1, count - 1)))
        others = sorted(self.unaudited.difference(drawn))
        drawn += self.random.sample(others, count - len(drawn))
        derived = len(self.unaudited)
        for window in drawn:
            answer, before = self.ask(one(window)), self.content[window]
            self.asked.add(window)
            self._remember(window, answer, Source.ASKED)
            yield Known(window, answer, Source.ASKED)
            if in_use(answer) != before:
                raise Disagreement(
                    f"{one(window)} was derived and then requested as an audit: {difference(before, in_use(answer))}"
                )
        yield Audited(r, tuple(sorted(drawn)), derived, self.seed)

    def _distrust(self, evidence: str) -> Iterator[Step]:
        """Throws away what rests on wholes in this month, and asks every window that wasn't asked by itself."""
        untrue = self.derived | {window for r in self.empty for window in r.windows()}
        untrue = (untrue | set(self.stored.not_asked(self.whole))) - self.asked
        # Before the verdict: were only the verdict stored, this would stay, and nothing would make it due.
        if untrue:
            yield Discard(tuple(contiguous(untrue)), evidence)
        yield Proof(holds=False, evidence=evidence)
        # All, also what was verified or found empty as part of a whole: those wholes are what is in doubt.
        left = contiguous(w for w in self.whole.windows() if w not in self.asked)
        yield from ask_directly(reversed(left), self.ask)
