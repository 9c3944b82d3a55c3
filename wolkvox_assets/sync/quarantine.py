"""Going on around answers that can't be had: one bad window, or a range too long, must not keep all others out.

What belongs here: telling a bad range from an outage, narrowing it down to the windows that fail, and leaving those
out; asking in shorter ranges where long ones fail. What doesn't: which errors these are, and how long is waited
(the caller's), making windows true (`run.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Protocol

from wolkvox_assets.report.measures import Agents, in_use
from wolkvox_assets.report.windows import WINDOW, Range, contiguous, one
from wolkvox_assets.sync.compare import NotEmpty
from wolkvox_assets.sync.divide import days, likely_busy_first
from wolkvox_assets.sync.steps import (
    Additivity,
    Ask,
    Discard,
    Known,
    KnownEmpty,
    LeftOut,
    Note,
    Proof,
    Source,
    Step,
    Verified,
)

Make = Callable[[Sequence[Range], Ask, Additivity], Iterator[Step]]
"""Makes ranges true, given a way to ask and what is known of additivity."""


class AskBriefly(Protocol):
    """An `Ask` that can be told to give up after so many requests where the trouble may be the range's."""

    def __call__(self, r: Range, requests: int | None = None, /) -> Agents: ...


Errors = type[Exception] | tuple[type[Exception], ...]

_HOUR = 12  # windows
_BRIEFLY = 3  # requests
_DAYS_ASKED = 4  # of a long range that is answered as empty: some may be holidays
_DAYS_AFTER = 4  # a long weekend and a day
_DAY = timedelta(days=1)


class BadAnswers(Exception):
    """Some windows could not be had; all others were, or, if `given_up`, it is not the windows.

    `errors`: what each of them raised. `first`: the first of these.
    """

    def __init__(self, errors: Mapping[datetime, Exception], *, given_up: bool) -> None:
        self.errors, self.given_up = errors, given_up
        self.__cause__ = self.first = next(iter(errors.values()))
        left_out = contiguous(errors)
        shown = "; ".join(map(str, left_out[:10])) + (" …" if len(left_out) > 10 else "")
        more = f" {len(errors)} windows could not be fetched: {shown}." if len(errors) > 1 else ""
        why = (
            " Given up: only empty answers can be read, so the windows are not the cause." if given_up else ""
        )
        super().__init__(f"{self.first}{more}{why}")


class _RangeFails(Exception):
    """A range fails while others are answered."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Quarantine:
    """Makes ranges true, whatever answers raise `bad`.

    A range that raises it is cut in two at its middle, again and again: about 13 more requests for one bad
    window in a month. A window that raises it by itself is left out (`LeftOut`, and a `Note`), and `BadAnswers` is
    raised when all else is done; at once when `give_up_after` windows were left out and no answer could be read
    but empty ones, which have nothing to be read: then it is not the windows. What is `unsure` as well could be
    read, and only can't be told yet.

    A range of more than `long` windows that raises `slow` is asked in halves, and so is everything as long from
    then on; a shorter one that does is heard. The same where such a range is answered as empty, and a day of it is not:
    the words for an empty range are those for a bad one [F]. So some days of it are asked where no answer for a range
    as long had rows in this run, and the days after it are in use: in this run, or, by what is stored, `doubtful`
    (range, end of the days after it).

    `faults` may be an outage, or the range's own. So each range is asked with little patience (`ask_briefly`); where
    that fails, one or two small ranges are asked, once each, that worked before or lie elsewhere. One of them is
    answered: the range is bad, as above, and where two ranges over `long` fail so, shorter ones are asked from
    then on. None is: it is an outage, and the range is asked with all patience (`ask`), whose error is heard.
    """

    ask: Ask
    additivity: Additivity
    make: Make
    bad: Errors
    slow: Errors = ()
    faults: Errors = ()
    unsure: Errors = ()
    ask_briefly: AskBriefly | None = None
    long: int = 288
    doubtful: Callable[[Range, datetime], bool] = lambda _range, _until: False
    give_up_after: int = 150
    # Ranges that are made true together, the newest last; apart, or they would be joined and asked as one again.
    waiting: list[list[Range]] = field(default_factory=list)
    asked: Range | None = None  # the latest
    longest: int | None = None  # windows that an answer is had for, as far as is known
    left_out: dict[datetime, Exception] = field(default_factory=dict)
    readable: bool = False
    worked: Range | None = None  # the latest small range that was answered
    suspect: Range | None = None  # fails as a whole while others are answered
    long_failed: Range | None = None  # the shortest over `long` that did so last
    believed: int = 0  # windows of the longest range that an answer had rows for
    days_in_use: set[date] = field(default_factory=set)

    def reconcile(self, ranges: Sequence[Range]) -> Iterator[Step]:
        """Yields what `make` yields for these ranges (wall clock)."""
        self.waiting.append(list(ranges))
        while self.waiting:
            together, longest = self.waiting.pop(), self.longest
            if longest is not None and any(len(r) > longest for r in together):
                self.waiting += [[piece] for r in together for piece in _pieces(r, longest)]
            else:
                yield from self._make(together)
        if self.left_out:
            raise BadAnswers(self.left_out, given_up=False)

    def _make(self, together: list[Range]) -> Iterator[Step]:
        self.asked = None
        everything = {window for r in together for window in r.windows()}
        left, had = set(everything), set[datetime]()
        try:
            for step in self.make(together, self._ask, self.additivity):
                left = _without(left, step)
                match step:
                    case Known(window=window, source=Source.ASKED):
                        had.add(window)
                    case Proof(holds=holds):
                        self.additivity = Additivity.PROVED if holds else Additivity.FAILED
                        # What wholes have told until then says nothing any more.
                        left |= set() if holds else everything - had
                yield step
        except _RangeFails as found:
            yield from self._around(found.error, left)
        except self.bad as error:
            yield from self._around(error, left)
        except NotEmpty as error:
            self.longest = max(self.long, len(error.range) // 2)
            yield Note(f"{error} Shorter ranges are requested.", warning=True)
            self.waiting.append(contiguous(left))
        except self.slow:
            if self.asked is None or len(self.asked) <= self.long:
                raise
            self.longest = max(self.long, len(self.asked) // 2)
            self.waiting.append(contiguous(left))

    def _ask(self, r: Range, /) -> Agents:
        self.asked = r
        answer = self._answer(r)
        self.readable = self.readable or bool(answer)
        if len(r) <= _HOUR:
            self.worked = r
        if len(r) > self.long:
            self._must_be_believed(r, answer)
        elif in_use(answer):
            self.days_in_use.add(r.start.date())
        return answer

    def _must_be_believed(self, r: Range, answer: Agents) -> None:
        if in_use(answer):
            self.believed = max(self.believed, len(r))
        elif len(r) > self.believed and self._is_doubtful(r):
            whole = [day for day in days(r) if day.end - day.start == _DAY]
            for day in islice(likely_busy_first(whole or list(days(r))), _DAYS_ASKED):
                if in_use(self._answer(day)):
                    raise NotEmpty(r, day)

    def _is_doubtful(self, r: Range) -> bool:
        after = {(r.end + n * _DAY).date() for n in range(_DAYS_AFTER)}
        return not after.isdisjoint(self.days_in_use) or self.doubtful(r, r.end + _DAYS_AFTER * _DAY)

    def _answer(self, r: Range) -> Agents:
        if self.ask_briefly is None:
            return self.ask(r)
        # Part of what failed: if it is only bad luck, being cut once more costs little.
        suspected = self.suspect is not None and self.suspect.start <= r.start and r.end <= self.suspect.end
        requests = 1 if suspected and len(r) > 1 else _BRIEFLY
        try:
            return self.ask_briefly(r, requests)
        except self.faults as error:
            fault = self._heard(r, error)
        if not self._others_are_answered(r):
            try:
                return self.ask(r)
            except self.faults as error:
                fault = self._heard(r, error)
            # It was waited for: were it an outage, it may be over by now, and this range bad all the same.
            if not self._others_are_answered(r):
                raise fault
        elif len(r) == 1:
            # A server that fails now and then could have failed just here.
            try:
                return self.ask_briefly(r, _BRIEFLY)
            except self.faults as error:
                fault = self._heard(r, error)
        self.suspect = r
        self._learn(r)
        raise _RangeFails(fault)

    def _heard(self, r: Range, error: Exception) -> Exception:
        if isinstance(error, self.bad) or (isinstance(error, self.slow) and len(r) > self.long):
            raise error
        return error

    def _others_are_answered(self, r: Range) -> bool:
        """Asks what worked before, or lies elsewhere: a window, once each."""
        assert self.ask_briefly is not None  # noqa: S101  # only asked where it is there
        elsewhere = [one(r.start - WINDOW), one(r.start - _DAY - WINDOW)]
        for probe in [self.worked, elsewhere[1]] if self.worked else elsewhere:
            try:
                self.ask_briefly(probe, 1)
            except self.bad:
                return True  # an answer, although it can't be used
            except self.faults:
                continue
            return True
        return False

    def _learn(self, r: Range) -> None:
        """Two ranges over `long`, apart from each other, fail: it is their length."""
        if len(r) <= self.long:
            return
        before, self.long_failed = self.long_failed, r
        if before is not None and (before.end <= r.start or r.end <= before.start):
            self.longest = max(self.long, len(r) // 2)

    def _around(self, error: Exception, left: set[datetime]) -> Iterator[Step]:
        """`left`: what is still to be done of the ranges that an answer was bad for."""
        asked = self.asked
        self.readable = self.readable or isinstance(error, self.unsure)
        if asked is not None and len(asked) > 1:
            middle = asked.start + len(asked) // 2 * WINDOW
            self.waiting.append(contiguous(w for w in left if w < middle))
            self.waiting.append(contiguous(w for w in left if w >= middle))
            return
        gone = set(asked.windows()) if asked else left
        self.left_out |= dict.fromkeys(gone, error)
        yield LeftOut(tuple(contiguous(gone)), str(error))
        yield Note(f"{error} Left out for now; the others go on.", warning=True)
        if not self.readable and len(self.left_out) >= self.give_up_after:
            raise BadAnswers(self.left_out, given_up=True)
        self.waiting.append(contiguous(left - gone))


def _pieces(r: Range, longest: int) -> list[Range]:
    """Cut up, oldest first, the oldest piece being what is left over."""
    pieces = []
    while len(r) > longest:
        r, newest = Range(r.start, r.end - longest * WINDOW), Range(r.end - longest * WINDOW, r.end)
        pieces.append(newest)
    return [r, *reversed(pieces)]


def _without(left: set[datetime], step: Step) -> set[datetime]:
    """The windows that are still to be done after this step."""
    match step:
        case Known(window=window):
            left.discard(window)
        case KnownEmpty(range=done) | Verified(range=done):
            left.difference_update(done.windows())
        case Discard(ranges=ranges):
            left.update(window for r in ranges for window in r.windows())
        case _:
            pass
    return left
