"""Servers and a store to test `sync/` against: small, obvious, counting.

What belongs here: models with a truth that can be looked up. What doesn't: the simulator (`simulator/`).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random

from wolkvox_assets.report.measures import Agents, Usage, add_up, in_use
from wolkvox_assets.report.windows import Range, one
from wolkvox_assets.sync import Audited, Discard, Known, KnownEmpty, Note, Proof, Source, Step, Verified

MONDAY = datetime(2026, 11, 16)
SUNDAY = datetime(2026, 11, 15)
DAY = Range(MONDAY, MONDAY + timedelta(days=1))
MONTH = Range(datetime(2026, 10, 1), datetime(2026, 11, 1))
LATER = datetime(2028, 1, 1)
HOUR = timedelta(hours=1)

Truth = Mapping[datetime, Agents]


def day_of(start: datetime, days: int = 1) -> Range:
    return Range(start, start + timedelta(days=days))


class Interrupted(Exception):
    """A request that went wrong, for whatever reason."""


class Server:
    """Answers with the sum over the windows: additive. Counts what it is asked."""

    def __init__(self, truth: Truth, breaks_at: int | None = None) -> None:
        self.truth = truth
        self.starts = sorted(truth)
        self.asked: list[Range] = []
        self.breaks_at = breaks_at

    def __call__(self, r: Range) -> Agents:
        assert r.start < r.end
        assert r.end - r.start <= timedelta(days=31)
        for end in (r.start, r.end):
            assert (end.minute % 5, end.second, end.microsecond) == (0, 0, 0)
        self.asked.append(r)
        if len(self.asked) == self.breaks_at:
            raise Interrupted
        return self.answer(r)

    def answer(self, r: Range) -> Agents:
        first, last = bisect_left(self.starts, r.start), bisect_left(self.starts, r.end)
        if last - first == 1:
            return self.truth[self.starts[first]]
        return add_up(self.truth[start] for start in self.starts[first:last])

    @property
    def requests(self) -> int:
        return len(self.asked)


class Later(Server):
    """Records arrive after so many requests."""

    def __init__(self, truth: Truth, late: Mapping[int, datetime]) -> None:
        super().__init__(truth)
        self.late = late

    def __call__(self, r: Range) -> Agents:
        answer = super().__call__(r)
        if (window := self.late.get(len(self.asked))) is not None:
            self.truth = with_late(self.truth, window)
            self.starts = sorted(self.truth)
        return answer


def with_late(truth: Truth, *windows: datetime) -> dict[datetime, Agents]:
    """The truth, and a record that came late in each of these windows."""
    late = {"Tardía": Usage(1, 42, 0, 42)}
    return {**truth, **{w: add_up((truth.get(w, {}), late)) for w in windows}}


@dataclass(frozen=True)
class Use:
    """One use of hold."""

    agent: str
    at: datetime
    seconds: int


class Touching(Server):
    """Not additive: counts a use, whole, in every range it touches."""

    def __init__(self, uses: Sequence[Use], breaks_at: int | None = None) -> None:
        super().__init__({}, breaks_at)
        self.uses = sorted(uses, key=lambda use: use.at)
        self.moments = [use.at for use in self.uses]
        self.longest = timedelta(seconds=max((use.seconds for use in uses), default=0))

    def answer(self, r: Range) -> Agents:
        first = bisect_left(self.moments, r.start - self.longest)
        last = bisect_left(self.moments, r.end)
        return add_up(
            {use.agent: Usage(1, use.seconds, 0, use.seconds)}
            for use in self.uses[first:last]
            if use.at + timedelta(seconds=use.seconds) > r.start
        )


class Lying(Server):
    """Additive, but for what `lie` makes of an answer."""

    def __init__(self, truth: Truth, lie: Callable[[Range, Agents], Agents]) -> None:
        super().__init__(truth)
        self.lie = lie

    def answer(self, r: Range) -> Agents:
        return self.lie(r, super().answer(r))


def shouting(r: Range, agents: Agents) -> Agents:
    """The agents' names in capitals, for ranges other than single windows."""
    return agents if len(r) == 1 else {name.upper(): usage for name, usage in agents.items()}


def one_too_many(r: Range, agents: Agents) -> Agents:
    """One use more for ranges of under an hour other than single windows."""
    if len(r) in (1, 12, 24, 36, 72, 144, 288) or len(r) > 288 or not agents:
        return agents
    name = min(agents)
    return {**agents, name: agents[name].plus(Usage(1, 7, 0, 7))}


@dataclass
class Kept:
    agents: Agents
    source: str
    verified: bool = False  # within its hour


class Store:
    """What `sync/` is told is stored, and what its steps do to it. Counts what is rewritten and verified."""

    def __init__(self) -> None:
        self.kept: dict[datetime, Kept] = {}
        self.rewritten: list[datetime] = []
        self.verified: set[datetime] = set()
        self.proofs: list[Proof] = []
        self.discarded: list[datetime] = []
        self.audited: list[datetime] = []
        self.notes: list[Note] = []
        self.busy: tuple[int, int] | None = None  # what is taken for the hours of use of every day

    def fill(self, truth: Truth, r: Range, source: str = "asked") -> None:
        for window in r.windows():
            self.kept[window] = Kept(truth.get(window, {}), source)

    def _of(self, r: Range) -> Iterable[Kept]:
        if len(r) < len(self.kept):
            return (self.kept[window] for window in r.windows() if window in self.kept)
        return (kept for window, kept in self.kept.items() if r.start <= window < r.end)

    def known(self, r: Range, /) -> int:
        return sum(1 for _ in self._of(r))

    def totals(self, r: Range, /) -> Agents:
        return add_up(kept.agents for kept in self._of(r))

    def derived(self, r: Range, /) -> Sequence[datetime]:
        return [w for w in r.windows() if w in self.kept and self.kept[w].source == "derived"]

    def not_asked(self, r: Range, /) -> Sequence[datetime]:
        return [w for w in r.windows() if w in self.kept and self.kept[w].source != "asked"]

    def asked(self, r: Range, /) -> Mapping[datetime, bool]:
        kept = {w: self.kept[w] for w in r.windows() if w in self.kept}
        return {w: one.verified for w, one in kept.items() if one.source == "asked"}

    def busy_hours(self, day: date, /) -> Range | None:
        midnight = datetime.combine(day, time())
        return self.busy and Range(midnight + self.busy[0] * HOUR, midnight + self.busy[1] * HOUR)

    def apply_all(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.apply(step)

    def apply(self, step: Step) -> None:
        match step:
            case Known(window, agents, source):
                self._replace(window, agents, source)
            case KnownEmpty(r, source):
                assert len(r) > 1
                self._replace_all(r.windows(), source)
            case Verified(r):
                assert self.known(r) == len(r)
                self.verified |= set(r.windows())
                for window in r.windows() if len(r) <= 12 else ():
                    self.kept[window].verified = True
            case Discard(ranges, reason):
                assert reason
                self._forget(ranges)
            case Proof():
                self.proofs.append(step)
            case Audited(_, windows, _, _):
                assert all(self.kept[w].source == Source.ASKED for w in windows)
                self.audited += windows
            case Note():
                self.notes.append(step)

    def _forget(self, ranges: Sequence[Range]) -> None:
        for r in ranges:
            for window in r.windows():
                self.kept.pop(window, None)
                self.discarded.append(window)

    def _replace_all(self, windows: Iterable[datetime], source: Source) -> None:
        for window in windows:
            self._replace(window, {}, source)

    def _replace(self, window: datetime, agents: Agents, source: Source) -> None:
        self.kept[window] = Kept(agents, str(source))
        self.rewritten.append(window)

    def settled_now(self) -> set[datetime]:
        """The windows that the steps said something final about."""
        return (set(self.rewritten) | self.verified) & self.kept.keys()

    def content(self) -> dict[datetime, Agents]:
        return {window: in_use(kept.agents) for window, kept in self.kept.items()}

    def sources(self, r: Range) -> set[str]:
        return {self.kept[window].source for window in r.windows()}


def truth_of(server: Server, ranges: Iterable[Range]) -> dict[datetime, Agents]:
    """What the server answers for each window, not counted as requests."""
    return {window: in_use(server.answer(one(window))) for r in ranges for window in r.windows()}


def busy(
    r: Range, agents: int = 50, first_hour: int = 7, last_hour: int = 19, seed: int = 1
) -> dict[datetime, Agents]:
    """A truth in which each window between the hours is in use, each agent in about a third of them."""
    random = Random(seed)
    truth: dict[datetime, Agents] = {}
    for window in r.windows():
        if not first_hour <= window.hour < last_hour:
            continue
        who = [n for n in range(agents) if random.random() < 0.3] or [0]
        truth[window] = {f"Agente Núñez {n}": usage(random) for n in who}
    return truth


def quiet(r: Range, uses: int, seed: int = 1) -> dict[datetime, Agents]:
    """A truth with this many uses, anywhere in the range, each in another window."""
    random = Random(seed)
    windows = random.sample(list(r.windows()), uses)
    return {window: {f"Agente {random.randrange(3)}": usage(random)} for window in windows}


def usage(random: Random) -> Usage:
    hold, mute = random.randrange(5, 90), random.randrange(30)
    return Usage(random.randrange(1, 3), hold, mute, hold + mute)


def uses_on(r: Range, count: int, seconds: int = 40, seed: int = 1, agents: int = 20) -> list[Use]:
    """Uses at random moments between 07 and 19 h of each day of `r`."""
    random = Random(seed)
    found = []
    for window in r.windows():
        if window.hour == window.minute == 0:
            for _ in range(count):
                at = window + timedelta(hours=7, seconds=random.randrange(12 * 3600))
                found.append(Use(f"Agente {random.randrange(agents)}", at, random.randrange(5, 2 * seconds)))
    return found
