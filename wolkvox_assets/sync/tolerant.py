"""Going on around answers that can't be had: one bad window, or a range too long, must not keep all others out.

What belongs here: narrowing a range that fails down to the windows that fail, and leaving those out; asking in
shorter ranges where long ones take too long. What doesn't: which errors these are (the caller's), making
windows true (`run.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wolkvox_assets.sync.steps import Ask, Discard, Known, KnownEmpty, Note, Proof, Step, Trust, Verified
from wolkvox_assets.usage import Agents
from wolkvox_assets.windows import WINDOW, Range, contiguous

Make = Callable[[Sequence[Range], Ask, Trust], Iterator[Step]]
"""Makes ranges true, given a way to ask and what is known of additivity."""


class BadAnswers(Exception):
    """Some windows could not be had; all others were, or, if `given_up`, it is not the windows.

    `first`: what the first of them raised. `left_out`: the ranges without them.
    """

    def __init__(self, first: Exception, left_out: Sequence[Range], *, given_up: bool) -> None:
        windows = sum(map(len, left_out))
        shown = "; ".join(map(str, left_out[:10])) + (" …" if len(left_out) > 10 else "")
        more = f" In all {windows} windows could not be had: {shown}." if windows > 1 else ""
        why = " Given up: no answer can be read but empty ones, so it is not the windows." if given_up else ""
        super().__init__(f"{first}{more}{why}")
        self.first = first
        self.left_out = left_out
        self.given_up = given_up


def around_bad_answers(
    ranges: Sequence[Range],
    ask: Ask,
    trust: Trust,
    make: Make,
    bad: type[Exception] | tuple[type[Exception], ...],
    slow: type[Exception] | tuple[type[Exception], ...] = (),
    unsure: type[Exception] | tuple[type[Exception], ...] = (),
    long: int = 288,
    give_up_after: int = 150,
) -> Iterator[Step]:
    """Yields what `make` yields for these ranges (wall clock), whatever answers raise `bad`.

    A range that raises it is cut in two at its middle, again and again: about 13 more requests for one bad
    window in a month. A window that raises it by itself is left out, with a `Note`, and `BadAnswers` is raised
    when all else is done; at once when `give_up_after` windows were left out and no answer could be read but
    empty ones, which have nothing to be read: then it is not the windows. What is `unsure` as well could be read,
    and only can't be told yet.

    A range of more than `long` windows that raises `slow` is asked in halves, and so is everything as long from
    then on; a shorter one that does is heard.
    """
    yield from _Around(ask, trust, make, bad, slow, unsure, long, give_up_after).make_true(ranges)


@dataclass
class _Around:
    ask: Ask
    trust: Trust
    make: Make
    bad: type[Exception] | tuple[type[Exception], ...]
    slow: type[Exception] | tuple[type[Exception], ...]
    unsure: type[Exception] | tuple[type[Exception], ...]
    long: int
    give_up_after: int
    # Ranges that are made true together, the newest last; apart, or they would be joined and asked as one again.
    waiting: list[list[Range]] = field(default_factory=list)
    asked: Range | None = None  # the latest
    longest: int | None = None  # windows that an answer is had for in time, as far as is known
    first: Exception | None = None
    left_out: set[datetime] = field(default_factory=set)
    readable: bool = False

    def make_true(self, ranges: Sequence[Range]) -> Iterator[Step]:
        self.waiting.append(list(ranges))
        while self.waiting:
            together, longest = self.waiting.pop(), self.longest
            if longest is not None and any(len(r) > longest for r in together):
                self.waiting += [[piece] for r in together for piece in _pieces(r, longest)]
            else:
                yield from self._make(together)
        if self.first is not None:
            raise BadAnswers(self.first, contiguous(self.left_out), given_up=False) from self.first

    def _make(self, together: list[Range]) -> Iterator[Step]:
        self.asked = None
        left = {window for r in together for window in r.windows()}
        try:
            for step in self.make(together, self._ask, self.trust):
                left = _without(left, step)
                if isinstance(step, Proof):
                    self.trust = Trust.PROVED if step.holds else Trust.FAILED
                yield step
        except self.bad as error:
            yield from self._around(error, left)
        except self.slow:
            if self.asked is None or len(self.asked) <= self.long:
                raise
            self.longest = max(self.long, len(self.asked) // 2)
            self.waiting.append(contiguous(left))

    def _ask(self, r: Range, /) -> Agents:
        self.asked = r
        answer = self.ask(r)
        self.readable = self.readable or bool(answer)
        return answer

    def _around(self, error: Exception, left: set[datetime]) -> Iterator[Step]:
        """`left`: what is still to be done of the ranges that an answer was bad for."""
        asked = self.asked
        self.readable = self.readable or isinstance(error, self.unsure)
        if asked is not None and len(asked) > 1:
            middle = asked.start + len(asked) // 2 * WINDOW
            self.waiting.append(contiguous(w for w in left if w < middle))
            self.waiting.append(contiguous(w for w in left if w >= middle))
            return
        self.first = self.first or error
        gone = set(asked.windows()) if asked else left
        self.left_out |= gone
        yield Note(f"{error} Left out for now; the others go on.", warning=True)
        if not self.readable and len(self.left_out) >= self.give_up_after:
            raise BadAnswers(self.first, contiguous(self.left_out), given_up=True) from self.first
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
