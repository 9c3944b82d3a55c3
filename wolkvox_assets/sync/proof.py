"""Proof before use: whether an aggregate over a range is the sum over its parts.

What belongs here: finding a busy stretch, asking its windows, its hours and the whole of it, and the verdict.
What doesn't: how long a verdict is good for (the caller), what is done once it holds (`derive.py`).

What a proof costs beyond the windows, which are wanted anyway: at most 24 hours, the day, and 5 probes that
look for a busy day. There is at most one proof in a run.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wolkvox_assets.sync.compare import difference
from wolkvox_assets.sync.direct import ask_directly
from wolkvox_assets.sync.divide import days, hours, months, without
from wolkvox_assets.sync.steps import Ask, Known, KnownEmpty, Note, Proof, Source, Step
from wolkvox_assets.usage import NOTHING, Agents, Usage, add_up, in_use
from wolkvox_assets.windows import Range

PROBES = 5

# Busy enough to prove anything. What is feared most is an API that counts a use in every range it touches.
# It shows where a use crosses from one window into the next within an hour. A use of s seconds does so with
# a chance of about s/300 · 11/12, so 4,500 seconds of use make 14 crossings to be expected, and none at all
# happens once in a million; even if hold and mute always ran at the same time (half the seconds), once in
# a thousand. The other two keep a few long uses, or one bad hour, from passing for a busy day.
BUSY_SECONDS = 4500
BUSY_USES = 60
BUSY_WINDOWS = 24
SHORTEST = timedelta(hours=2)


def prove_on_the_way(ranges: Sequence[Range], ask: Ask) -> Generator[Step, None, tuple[list[Range], bool]]:
    """Makes as much of the (settled) ranges true as it takes to prove additivity on.

    Returns what is left of the ranges, newest first, and whether additivity was proved. Where nothing is
    busy enough, nothing is left: all was asked directly.
    """
    left = list(ranges)
    stretches = [day for r in left for day in days(r) if day.end - day.start >= SHORTEST]
    # A lone day is not probed: should it turn out quiet, the probe would have been for nothing.
    if len(stretches) > 1:
        left, verdict = yield from _probe(left, stretches, ask)
        if verdict is not None:
            return left, verdict.holds
    quiet = bool(left and stretches)
    while left:
        day = next(days(left[0]))
        left = without(left, day)
        verdict = yield from _ask_and_prove(day, None, ask)
        if verdict is not None:
            return left, verdict.holds
    if quiet:
        yield Note(
            "No day was busy enough to prove on it that ranges add up, so windows were asked one by one."
        )
    return [], False


def _probe(
    left: list[Range], stretches: Sequence[Range], ask: Ask
) -> Generator[Step, None, tuple[list[Range], Proof | None]]:
    """Looks for a busy day with few requests, so that months of history need not be asked directly.

    Returns what is left of the ranges, and the verdict if it came to one.
    """
    probes = 0
    months_probed: set[tuple[int, int]] = set()
    for day in _likely_busy_first(stretches):
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
        elif _may_be_busy(whole):
            left = without(left, day)
            verdict = yield from _ask_and_prove(day, whole, ask)
            if verdict is not None:
                return left, verdict
    return left, None


def _likely_busy_first(stretches: Sequence[Range]) -> Iterator[Range]:
    """Weekdays first, the newest and then ever further back, so that one dead week hides nothing; then the rest."""
    weekdays = [day for day in stretches if day.start.weekday() < 5]
    first = [weekdays[2**n - 1] for n in range(len(weekdays).bit_length())]
    yield from first
    yield from (day for day in stretches if day not in first)


@dataclass
class _Tally:
    """What a stretch's windows add up to, hour by hour: all that a proof needs of them."""

    hours: dict[datetime, dict[str, Usage]] = field(default_factory=dict)
    windows_in_use: int = 0

    def add(self, known: Known) -> None:
        hour = known.window.replace(minute=0)
        used = in_use(known.agents)
        self.hours[hour] = add_up((self.hours.get(hour, {}), used))
        self.windows_in_use += bool(used)

    def total(self) -> dict[str, Usage]:
        return add_up(self.hours.values())


def is_busy(agents: Agents, windows_in_use: int) -> bool:
    """Whether a stretch with these totals can prove anything."""
    return windows_in_use >= BUSY_WINDOWS and _may_be_busy(agents)


def _may_be_busy(agents: Agents) -> bool:
    total = _sum(agents.values())
    return total.hold_mute_count >= BUSY_USES and total.total_seconds >= BUSY_SECONDS


def agreement(stretch: Range, total: Agents, hours_asked: int) -> Proof:
    """The proof that windows, hours and the whole of a busy stretch agree."""
    uses = _sum(total.values()).hold_mute_count
    return Proof(
        holds=True,
        evidence=(
            f"{stretch}: {len(stretch)} windows with {uses} uses by {len(total)} agents were asked, {hours_asked} hours"
            " and the whole of it too: all of them agree, agent by agent."
        ),
    )


def _ask_and_prove(day: Range, whole: Agents | None, ask: Ask) -> Generator[Step, None, Proof | None]:
    """Asks the windows of a stretch within one day, and, if it turns out busy, its hours and the whole of it.

    `whole`: the answer for all of it, where a probe has it already. Returns the verdict, None if too quiet.
    """
    tally = _Tally()
    for known in ask_directly([day], ask):
        yield known
        tally.add(known)
    total = tally.total()
    if day.end - day.start < SHORTEST or not is_busy(total, tally.windows_in_use):
        return None
    parts = [(hour, tally.hours[hour.start.replace(minute=0)]) for hour in hours(day) if len(hour) > 1]
    verdict = None
    for r, of_windows in parts:
        verdict = verdict or _disproof(r, of_windows, in_use(ask(r)))
        if verdict:
            break
    if verdict is None:
        verdict = _disproof(day, total, in_use(ask(day)) if whole is None else whole)
    if verdict is None:
        verdict = agreement(day, total, len(parts))
    yield verdict
    return verdict


def _disproof(r: Range, of_windows: Agents, asked: Agents) -> Proof | None:
    if of_windows == asked:
        return None
    return Proof(
        holds=False,
        evidence=f"{r}: the sum of its windows and the answer for all of it differ: {difference(of_windows, asked)}.",
    )


def _sum(usages: Iterable[Usage]) -> Usage:
    total = NOTHING
    for usage in usages:
        total = total.plus(usage)
    return total
