"""Direct asking: each window by a request of its own.

The one way that rests on no assumption about the API but one: that it answers for the times it is asked for. All else
in `sync/` falls back to it, so a server that does not is told here.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from wolkvox_assets.report.measures import Agents, add_up
from wolkvox_assets.report.plain_text import quoted
from wolkvox_assets.report.windows import WINDOW, Range, one
from wolkvox_assets.sync.compare import told
from wolkvox_assets.sync.steps import Ask, Known, Source

# Answers for a whole day, for a day up to now, or from its midnight on, whatever the times: each has all of the one
# before, or the other way round, and several uses that are longer than a window. Twelve of these in a row are a reason
# to look: all of them together have little more than one of them, or as much as they add up to, as where a machine does
# the same every five minutes.
_NESTED = 12
_USES = 3
_NEAR = timedelta(hours=12)  # what lies between them may have been asked before


class TimesIgnored(Exception):
    """The server answers for more than it is asked for: nothing that it says of a window is true. `window`: one of
    those that show it.
    """

    def __init__(self, evidence: str, window: datetime) -> None:
        super().__init__(evidence)
        self.window = window


def ask_directly(ranges: Iterable[Range], ask: Ask) -> Iterator[Known]:
    """Asks every window of the ranges (wall clock), range by range in the order given.

    Within a range the newest window comes first: that is the one somebody is waiting for. What looks as if the times
    were ignored is held back until another answer, or that for all of it, shows that they are not. Raises
    `TimesIgnored`; nothing of that was yielded.
    """
    held: list[Known] = []
    heard = False  # the times were: that need not be looked at again
    for r in ranges:
        window = r.end
        while window > r.start:
            window -= WINDOW
            try:
                step = Known(window, ask(one(window)), Source.ASKED)
            except BaseException:  # a run that is stopped, too
                yield from held
                raise
            if not (held and held[0].window - _NEAR < window < held[-1].window and _nested(step, held)):
                yield from held
                held = []
            if heard or not _is_much(step.agents):
                yield from held
                held = []
                yield step
                continue
            held.append(step)
            if len(held) == _NESTED:
                try:
                    whole = ask(Range(window, held[0].window + WINDOW))
                except BaseException:  # a run that is stopped, too
                    yield from held
                    raise
                if _tells_no_more(whole, held):
                    raise TimesIgnored(_evidence(held), window)
                yield from held
                held, heard = [], True
    yield from held


def _is_much(agents: Agents) -> bool:
    """Whether somebody has several uses that are longer than a window together."""
    return any(
        usage[0] >= _USES and (usage.seconds is None or usage.seconds > WINDOW.total_seconds())
        for usage in agents.values()
    )


def _nested(step: Known, held: Sequence[Known]) -> bool:
    """Whether each answer has all of the one before it, or each all of the one after it."""
    pairs = list(pairwise([step.agents, *(known.agents for known in reversed(held))]))
    return all(_has_all(b, a) for a, b in pairs) or all(_has_all(a, b) for a, b in pairs)


def _tells_no_more(whole: Agents, held: Sequence[Known]) -> bool:
    """Whether the answer for all of them has as much as one of them, and of somebody less than half of the uses of all.

    Where it has not even that, it says nothing of the windows: a server may answer such a range as empty. Uses, and not
    seconds: a long one may be told in each window that it touches.
    """
    uses = add_up(known.agents for known in held)
    return any(_has_all(whole, known.agents) for known in held) and any(
        2 * usage[0] < uses[name][0] for name, usage in whole.items() if name in uses
    )


def _has_all(answer: Agents, other: Agents) -> bool:
    return all(name in answer and min(answer[name].minus(usage)) >= 0 for name, usage in other.items())


def _evidence(held: Sequence[Known]) -> str:
    first, last = held[-1], held[0]
    name = max(first.agents, key=lambda agent: first.agents[agent][0])
    return (
        f"The server seems to ignore the times it is asked for: {len(held)} windows from {first.window} to "
        f"{last.window} had the same answer, or each had all that the next one has, and their whole range had no more "
        f"(for {quoted(name)} {told(first.agents[name])} in the first, {told(last.agents.get(name))} in the last). "
        "None of them is stored. Compare body in api_requests with the report in Wolkvox, and report it to "
        "Wolkvox. Once that is corrected, materialise again the days that were loaded meanwhile, with direct: true."
    )
