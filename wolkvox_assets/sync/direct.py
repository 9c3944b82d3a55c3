"""Direct asking: each window by a request of its own.

The one way that rests on no assumption about the API: all else in `sync/` falls back to it.
"""

from collections.abc import Iterable, Iterator

from wolkvox_assets.report.windows import WINDOW, Range, one
from wolkvox_assets.sync.steps import Ask, Known, Source


def ask_directly(ranges: Iterable[Range], ask: Ask) -> Iterator[Known]:
    """Asks every window of the ranges (wall clock), range by range in the order given.

    Within a range the newest window comes first: that is the one somebody is waiting for.
    """
    for r in ranges:
        window = r.end
        while window > r.start:
            window -= WINDOW
            yield Known(window, ask(one(window)), Source.ASKED)
