"""Proof before use: whether an aggregate over a range is the sum over its parts.

What belongs here: finding a busy range, asking its windows, its hours and the whole of it. What doesn't:
comparing them (`sums.py`), how long a verdict is good for (the caller), what is done once it holds (`bisect.py`).

What a proof costs beyond the windows, which are wanted anyway: at most 24 hours, the day, and 5 probes that
look for a busy day; where something differs, the hour's windows, or the day's hours, again. There is at
most one proof in a run.
"""

from collections.abc import Generator, Sequence

from wolkvox_assets.report.measures import Agents, add_up, in_use
from wolkvox_assets.report.windows import Range
from wolkvox_assets.sync.divide import days, likely_busy_first, months, without
from wolkvox_assets.sync.steps import Ask, Known, KnownEmpty, Note, Proof, Source, Step
from wolkvox_assets.sync.sums import SHORTEST, Disproved, Sums, agreement, is_busy, may_be_busy

PROBES = 5


def prove_on_the_way(ranges: Sequence[Range], ask: Ask) -> Generator[Step, None, tuple[list[Range], bool]]:
    """Makes as much of the (settled) ranges true as it takes to prove additivity on.

    Returns what is left of the ranges, newest first, and whether additivity was proved. Where nothing is
    busy enough, nothing is left: all was asked directly.
    """
    left = list(ranges)
    candidates = [day for r in left for day in days(r) if day.end - day.start >= SHORTEST]
    # A lone day is not probed: should it turn out quiet, the probe would have been for nothing.
    if len(candidates) > 1:
        left, verdict = yield from _probe(left, candidates, ask)
        if verdict is not None:
            return left, verdict.holds
    quiet = bool(left and candidates)
    while left:
        day = next(days(left[0]))
        left = without(left, day)
        verdict = yield from _ask_and_prove(day, None, ask)
        if verdict is not None:
            return left, verdict.holds
    if quiet:
        yield Note(
            "No day was busy enough to prove on it that ranges add up, so windows were requested one by one."
        )
    return [], False


def _probe(
    left: list[Range], candidates: Sequence[Range], ask: Ask
) -> Generator[Step, None, tuple[list[Range], Proof | None]]:
    """Looks for a busy day with few requests, so that months of history need not be asked directly.

    Returns what is left of the ranges, and the verdict if it came to one.
    """
    probes = 0
    months_probed: set[tuple[int, int]] = set()
    for day in likely_busy_first(candidates):
        around = next((r for r in left if r.start <= day.start < r.end), None)
        if around is None:
            continue  # its month was found empty
        if probes == PROBES:
            break
        probes += 1
        whole = in_use(ask(day))
        if not whole:
            yield KnownEmpty(day, Source.EMPTY_RANGE)
            left = without(left, day)
            # History from before they began: the month is likely to be empty like its day.
            month = next(m for m in months(around) if m.start <= day.start < m.end)
            name = (day.start.year, day.start.month)
            if month != day and name not in months_probed and probes < PROBES:
                probes += 1
                months_probed.add(name)
                if not in_use(ask(month)):
                    yield KnownEmpty(month, Source.EMPTY_RANGE)
                    left = without(left, month)
        elif may_be_busy(whole):
            left = without(left, day)
            verdict = yield from _ask_and_prove(day, whole, ask)
            if verdict is not None:
                return left, verdict
    return left, None


def _ask_and_prove(day: Range, whole: Agents | None, ask: Ask) -> Generator[Step, None, Proof | None]:
    """Asks the windows of a range within one day, and, if it turns out busy, its hours and the whole of it.

    `whole`: the answer for all of it, where a probe has it already. Returns the verdict, None if too quiet.
    """
    sums, windows_in_use = Sums(ask, held=lambda _: {}), 0
    for step in sums.windows(day):
        yield step
        windows_in_use += isinstance(step, Known) and bool(in_use(step.agents))
    if not is_busy(day, add_up(sums.now.values()), windows_in_use):
        return None
    try:
        yield from sums.hours_and_whole(day, whole)
    except Disproved as found:
        verdict = Proof(holds=False, evidence=str(found))
    else:
        verdict = agreement(day, add_up(sums.now.values()))
    yield verdict
    return verdict
