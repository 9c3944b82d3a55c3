"""Going on around answers that can't be read: one bad window must not keep all others out.

What belongs here: narrowing a range that fails down to the windows that fail, and leaving those out. What
doesn't: which errors these are (the caller's), making windows true (`run.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from wolkvox_assets.sync.steps import Ask, Discard, Known, KnownEmpty, Note, Proof, Step, Trust, Verified
from wolkvox_assets.usage import Agents
from wolkvox_assets.windows import WINDOW, Range, contiguous

Make = Callable[[Sequence[Range], Ask, Trust], Iterator[Step]]
"""Makes ranges true, given a way to ask and what is known of additivity."""


_MOST_BAD_IN_A_ROW = 12
"""Windows that can't be read with no answer in between that can: then it is not the windows."""


class BadAnswers(Exception):
    """Some windows could not be had; all others were, or, if `given_up`, it is not the windows.

    `first`: what the first of them raised. `left_out`: the ranges without them.
    """

    def __init__(self, first: Exception, left_out: Sequence[Range], *, given_up: bool) -> None:
        windows = sum(map(len, left_out))
        shown = "; ".join(map(str, left_out[:10])) + (" …" if len(left_out) > 10 else "")
        more = f" In all {windows} windows could not be had: {shown}." if windows > 1 else ""
        why = f" Given up: {_MOST_BAD_IN_A_ROW} in a row, and no answer that can be read." if given_up else ""
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
) -> Iterator[Step]:
    """Yields what `make` yields for these ranges (wall clock), whatever answers raise `bad`.

    A range that raises it is cut in two at its middle, again and again: about 13 more requests for one bad
    window in a month. A window that raises it by itself is left out, with a `Note`, and `BadAnswers` is raised
    when all else is done; at once where it is not some windows but all of them. (An empty answer tells
    nothing: it has nothing to be read.)
    """
    first: Exception | None = None
    left_out: set[datetime] = set()
    bad_in_a_row = 0
    waiting = [list(ranges)]
    while waiting:
        together = waiting.pop()  # the newest
        asked: Range | None = None
        left = {window for r in together for window in r.windows()}

        def remember(r: Range, /) -> Agents:
            nonlocal asked, bad_in_a_row
            asked = r
            answer = ask(r)
            if answer:
                bad_in_a_row = 0
            return answer

        try:
            for step in make(together, remember, trust):
                left = _without(left, step)
                if isinstance(step, Proof):
                    trust = Trust.PROVED if step.holds else Trust.FAILED
                yield step
        except bad as error:
            if asked is None or len(asked) == 1:
                first = first or error
                gone = set(asked.windows()) if asked else left
                left_out |= gone
                left -= gone
                yield Note(f"{error} Left out for now; the others go on.", warning=True)
                bad_in_a_row += 1
                if bad_in_a_row == _MOST_BAD_IN_A_ROW:
                    raise BadAnswers(first, contiguous(left_out), given_up=True) from first
                waiting.append(contiguous(left))
            else:
                middle = asked.start + len(asked) // 2 * WINDOW
                # Apart, or they would be joined and asked as one again.
                waiting.append(contiguous(w for w in left if w < middle))
                waiting.append(contiguous(w for w in left if w >= middle))
    if first is not None:
        raise BadAnswers(first, contiguous(left_out), given_up=False) from first


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
