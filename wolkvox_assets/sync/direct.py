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
# before, or the other way round. Twelve such windows in a row with three uses of one agent do not happen by chance; nor
# where a use is counted in each window that it touches: one agent would have three that last an hour, and nobody else
# any that begins or ends in it. A machine may do the same every five minutes: then all of them together are as much as
# they add up to, which costs one request.
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
    for r in ranges:
        if held and not held[0].window - _NEAR <= r.end <= held[-1].window:
            yield from held
            held = []
        window = r.end
        while window > r.start:
            window -= WINDOW
            try:
                step = Known(window, ask(one(window)), Source.ASKED)
            except Exception:
                yield from held
                raise
            if not _nested([step.agents, *(known.agents for known in reversed(held))]):
                yield from held
                held = []
            if not any(usage[0] >= _USES and usage.seconds for usage in step.agents.values()):
                yield from held
                held = []
                yield step
                continue
            held.append(step)
            if len(held) == _NESTED:
                total = add_up(known.agents for known in held)
                if not _has_all(ask(Range(window, held[0].window + WINDOW)), total):
                    raise TimesIgnored(_evidence(held), window)
                yield from held
                held = []
    yield from held


def _nested(answers: Sequence[Agents]) -> bool:
    """Whether each answer has all of the one before it, or each all of the one after it."""
    pairs = list(pairwise(answers))
    return all(_has_all(b, a) for a, b in pairs) or all(_has_all(a, b) for a, b in pairs)


def _has_all(answer: Agents, other: Agents) -> bool:
    return all(name in answer and min(answer[name].minus(usage)) >= 0 for name, usage in other.items())


def _evidence(held: Sequence[Known]) -> str:
    first, last = held[-1], held[0]
    name = max(first.agents, key=lambda agent: first.agents[agent][0])
    return (
        f"The server seems to ignore the times it is asked for: {len(held)} windows from {first.window} to "
        f"{last.window} were answered alike, or each with all of the next one, and all of them with no more (for "
        f"{quoted(name)} {told(first.agents[name])} in the first, {told(last.agents.get(name))} in the last). "
        "Nothing of these is stored. Compare body in api_requests with the report in Wolkvox, and report it to "
        "Wolkvox. Once it is mended, materialise the days that were loaded meanwhile again, with direct: true."
    )
