"""The entry: make the stored windows of some ranges equal to the API's answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from wolkvox_assets.report.windows import Range, contiguous
from wolkvox_assets.sync.bisect import derive
from wolkvox_assets.sync.direct import TimesIgnored, ask_directly
from wolkvox_assets.sync.divide import cut, merged, without
from wolkvox_assets.sync.proof import prove_on_the_way
from wolkvox_assets.sync.steps import Additivity, Ask, Discard, Known, KnownEmpty, Step, Stored
from wolkvox_assets.sync.verify_by_sums import asked_before, recheck


@dataclass(frozen=True)
class Sync:
    """Makes what is stored of an operation equal to what the API answers.

    `settled_before` (naive wall clock): windows that start then or later are asked directly, since their answers may
    still grow. `seed`: draws the audits.
    """

    stored: Stored
    settled_before: datetime
    seed: int

    def reconcile(self, ranges: Sequence[Range], ask: Ask, additivity: Additivity) -> Iterator[Step]:
        """Yields the steps for these ranges: naive wall clock, only windows that exist and have ended; any order, any
        length, overlaps are asked once. `additivity`: what is known of it.

        Each step is final when it is yielded and can be stored at once; by the end every window of the ranges is
        in a `Known`, `KnownEmpty` or `Verified`. A window can come twice, the later step counts. Newest
        windows come first, audits and proofs after what they are about.

        Raises `TimesIgnored`, and nothing else of its own: what `ask` and `stored` raise passes through, and a repeat
        with the same ranges goes on from what was stored.

        What it cannot see, but with `Additivity.FAILED`: stored windows that are wrong in ways that cancel out
        within a range, agent by agent and number by number, look verified as a sum.
        """
        told = set[datetime]()
        try:
            for step in self._reconcile(ranges, ask, additivity):
                match step:
                    case Known(window=window):
                        told.add(window)
                    case KnownEmpty(range=r):
                        told.update(r.windows())
                yield step
        except TimesIgnored as ignored:
            # Some windows were taken for what is left of a whole, or for a quiet end of the day, before it showed.
            month = (ignored.window.year, ignored.window.month)
            doubtful = contiguous(window for window in told if (window.year, window.month) == month)
            if doubtful:
                yield Discard(tuple(doubtful), f"{ignored}")
            raise

    def _reconcile(self, ranges: Sequence[Range], ask: Ask, additivity: Additivity) -> Iterator[Step]:
        newest_first = merged(ranges)[::-1]
        cuts = [cut(r, self.settled_before) for r in newest_first]
        unsettled = [later for _, later in cuts if len(later)]
        settled = [earlier for earlier, _ in cuts if len(earlier)]

        yield from ask_directly(unsettled, ask)
        if additivity is Additivity.FAILED:
            yield from ask_directly(settled, ask)
            return
        if additivity is Additivity.UNPROVED:
            known = asked_before(settled, self.stored)
            unknown = settled
            for r in known:
                unknown = without(unknown, r)
            known, holds = yield from recheck(known, ask, self.stored)
            if holds is None:
                unknown, holds = yield from prove_on_the_way(unknown, ask)
            settled = merged([*known, *unknown])[::-1]
            if not holds:
                yield from ask_directly(settled, ask)
                return
        yield from derive(settled, ask, self.stored, self.seed)
