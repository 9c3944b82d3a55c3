"""A made-up contact centre: who used hold and mute, when and for how long, and the truth for any range.

What belongs here: how the people of the centre behave, late records, and counting over a range. What
doesn't: anything about HTTP, and how numbers are written (`answers.py`).

Every day is computed on its own from (settings, seed, date), so any day of any year is there at once and is
the same in every process. Days and their totals are remembered, so that a month is a sum of 31 totals.
"""

import random
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from operator import add, attrgetter
from threading import Lock
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from wolkvox_assets.report.definition import Report, Unit
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.simulator.names import spanish_names

Kind = Literal["hold", "mute"]
Profile = Literal["office", "around_the_clock", "quiet", "empty"]
Counting = Literal["instant", "touch"]

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
WINDOW = timedelta(minutes=5)


class Use(NamedTuple):
    """One use of hold or mute. `at`: naive wall-clock time, whole seconds; `seconds`: how long it lasted."""

    at: datetime
    agent: str
    kind: Kind
    seconds: int


_instant = attrgetter("at")


class _Spec(NamedTuple):
    """All that a generated day depends on, besides its date. Hashable: it is the key of the caches."""

    names: tuple[str, ...]
    seed: int
    profile: Profile
    busy: float
    zone: str


@dataclass(frozen=True, slots=True)
class _Day:
    """The uses of one day in order, and what each agent's come to in `agent_9`."""

    uses: tuple[Use, ...]
    totals: dict[str, Usage]

    def between(self, start: datetime, end: datetime) -> tuple[Use, ...]:
        return self.uses[
            bisect_left(self.uses, start, key=_instant) : bisect_right(self.uses, end, key=_instant)
        ]


class _Sum:
    """Adds up uses and totals, agent by agent, in the numbers of a report."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._of: dict[str, list[int]] = {}

    def uses(self, uses: Iterable[Use]) -> None:
        for use in uses:
            self._add(use.agent, _numbers(use, self._report))

    def totals(self, totals: dict[str, Usage]) -> None:
        for agent, usage in totals.items():
            self._add(agent, usage)

    def result(self) -> dict[str, Usage]:
        return {agent: self._report.usage(*numbers) for agent, numbers in sorted(self._of.items())}

    def _add(self, agent: str, numbers: Iterable[int]) -> None:
        so_far = self._of.get(agent)
        self._of[agent] = list(numbers if so_far is None else map(add, so_far, numbers))


def _numbers(use: Use, report: Report) -> tuple[int, ...]:
    """What one use comes to in this report. Of others than `agent_9` a centre knows nothing: their numbers are made up,
    and always the same for the same use.
    """
    if report is AGENT_9:
        hold = use.seconds if use.kind == "hold" else 0
        return 1, hold, use.seconds - hold, use.seconds
    numbers = {}
    for place, measure in enumerate(report.measures):
        most = use.seconds if measure.unit is Unit.SECONDS else 1
        drawn = zlib.crc32(f"{measure.column}|{use.at}|{use.agent}".encode()) % (most + 1)
        numbers[measure.column] = drawn if place else 1
    if report.total is not None:
        numbers[report.total.column] = sum(numbers[part] for part in report.total.parts)
    return tuple(numbers.values())


@dataclass(eq=False, repr=False)
class Centre:
    """A contact centre, and what there is to know about it.

    `agents`: how many, or their names. `seed`: another one is another centre. `profile`:
    `office` (07-19 h on weekdays, lunch, a few on Saturday, 5 to 8 uses on Sundays and holidays, shut on
    1 January and 25 December), `around_the_clock` (every 5-minute window of every day has uses), `quiet`
    (5 to 8 uses a day), `empty`. `busy`: 2.0 is twice as many uses. `timezone`: the zone of the wall clock:
    nothing happens in an hour that the clock skips. `counting`: `instant` counts a use at its instant,
    which makes ranges additive; `touch` counts it whole in every range it touches, which does not [?].
    `late_seconds`: a use may enter the report up to so long after its instant; 0: at once.

    All times are naive wall-clock times; both ends of a range are included, to the second, as the API's are.
    """

    agents: int | Sequence[str] = 12
    _: KW_ONLY
    seed: int = 1
    profile: Profile = "office"
    busy: float = 1.0
    timezone: str = "America/Bogota"
    counting: Counting = "instant"
    late_seconds: int = 0

    def __post_init__(self) -> None:
        if self.profile not in get_args(Profile):
            raise ValueError(f"profile is one of {', '.join(get_args(Profile))}, not {self.profile!r}")
        if self.counting not in get_args(Counting):
            raise ValueError(f"counting is one of {', '.join(get_args(Counting))}, not {self.counting!r}")
        agents = self.agents
        self.names = spanish_names(agents, self.seed) if isinstance(agents, int) else tuple(agents)
        if not self.names:
            raise ValueError("a centre needs an agent at least; for one without uses: profile='empty'")
        self.zone = ZoneInfo(self.timezone)
        self._spec = _Spec(self.names, self.seed, self.profile, self.busy, self.timezone)
        self._lock = Lock()  # over the edits; readers need none, see `_day`
        self._added: tuple[Use, ...] = ()
        self._removed: frozenset[Use] = frozenset()
        self._silent: tuple[tuple[datetime, datetime], ...] = ()
        self._edited_days: dict[date, _Day | None] = {}  # None: looked at, nothing was edited

    # What one may change while it runs: late records

    def add(self, *uses: Use) -> None:
        """Records that arrive late, in any range, a silent one too. The agent may be a new one."""
        for use in uses:
            if use.at.tzinfo or use.at.microsecond or not 0 <= use.seconds < 86_400:
                raise ValueError(f"a use has a naive time to the second and lasts less than a day: {use}")
        with self._lock:
            self._added += uses
            self._edited_days = {}

    def remove(self, *uses: Use) -> None:
        """Records taken back. One that was added goes; one that the centre made up is struck out."""
        with self._lock:
            added = list(self._added)
            for use in uses:
                if use in added:
                    added.remove(use)
                elif use in self.uses(use.at, use.at):
                    self._removed |= {use}
                else:
                    raise ValueError(f"there is no such use: {use}")
            self._added = tuple(added)
            self._edited_days = {}

    def silence(self, start: datetime, end: datetime) -> None:
        """Nothing happened from `start` to `end` (included), but for what is added by hand."""
        with self._lock:
            self._silent += ((start, end),)
            self._edited_days = {}

    # What is true

    def uses(self, start: datetime, end: datetime) -> list[Use]:
        """The single uses whose instant lies in the range, in order."""
        return [use for day in _days(start, end) for use in self._day(day).between(start, end)]

    def truth(
        self, start: datetime, end: datetime, *, now: datetime | None = None, report: Report = AGENT_9
    ) -> dict[str, Usage]:
        """What the report says over the range, by agent; agents without a use are not in it.

        `now`: the wall clock at the time of asking; what has not happened or not entered the report by
        then is left out. Without it, everything counts, the future included.
        """
        late = timedelta(seconds=self.late_seconds)
        certain = end if now is None else min(end, now - late - SECOND)
        total = _Sum(report)
        for day in _days(start, certain):
            midnight = datetime.combine(day, time())
            if report is AGENT_9 and start <= midnight and midnight + DAY - SECOND <= certain:
                total.totals(self._day(day).totals)
            else:
                total.uses(self._day(day).between(start, certain))
        if now is not None and certain < end:
            recent = self.uses(max(start, certain + SECOND), end)
            total.uses(use for use in recent if self._entered(use) <= now)
        if self.counting == "touch":
            before = self.uses(start - DAY, start - SECOND)
            total.uses(
                use
                for use in before
                if use.at + timedelta(seconds=use.seconds) > start
                and (now is None or self._entered(use) <= now)
            )
        return total.result()

    def truth_by_window(
        self, start: datetime, end: datetime, *, now: datetime | None = None
    ) -> dict[datetime, dict[str, Usage]]:
        """`truth` of each 5-minute window from the one at `start`, by its start; empty windows are in it too."""
        found = {}
        while start <= end:
            found[start] = self.truth(start, start + WINDOW - SECOND, now=now)
            start += WINDOW
        return found

    def _entered(self, use: Use) -> datetime:
        """When the use enters the report. Not `hash`: that differs from process to process."""
        text = f"{use.at}|{use.agent}|{use.kind}|{use.seconds}"
        return use.at + timedelta(seconds=zlib.crc32(text.encode()) % (self.late_seconds + 1))

    def _day(self, day: date) -> _Day:
        # An edit puts a new dict in place of `_edited_days`. A reader on another thread that was half-way
        # through writes what it found into the old one, where nobody looks any more.
        remembered = self._edited_days
        if day not in remembered:
            remembered[day] = self._edited(day)
        # What was made up is kept in its own cache, which has a bound.
        return remembered[day] or _generated_day(self._spec, day)

    def _edited(self, day: date) -> _Day | None:
        midnight = datetime.combine(day, time())
        last = midnight + DAY - SECOND
        silent = [(start, end) for start, end in self._silent if start <= last and end >= midnight]
        added = [use for use in self._added if midnight <= use.at <= last]
        removed = {use for use in self._removed if midnight <= use.at <= last}
        if any(start <= midnight and end >= last for start, end in silent):
            made_up: tuple[Use, ...] = ()
        elif not (silent or added or removed):
            return None
        else:
            made_up = tuple(
                use
                for use in _generated_day(self._spec, day).uses
                if use not in removed and not any(start <= use.at <= end for start, end in silent)
            )
        return _as_day([*made_up, *added])


def _days(start: datetime, end: datetime) -> Iterator[date]:
    day = start.date()
    while start <= end and day <= end.date():
        yield day
        day += DAY


def _as_day(uses: list[Use]) -> _Day:
    total = _Sum(AGENT_9)
    total.uses(uses)
    return _Day(tuple(sorted(uses)), total.result())


# How people behave. Shared by all centres with the same settings: tests make hundreds of them.

SHIFTS = ((7, 16), (8, 17), (7, 16), (10, 19), (8, 17), (7, 16), (10, 19), (8, 17))
"""Hours from and to, for the first agent, the second, … and from the start again: a small centre is mixed too."""

LUNCHES = (12.0, 12.5, 13.0)
"""When the hour's lunch begins, by turns."""

RUSH = {
    7: 0.6,
    8: 0.9,
    9: 1.2,
    10: 1.3,
    11: 1.2,
    12: 0.9,
    13: 0.8,
    14: 1.0,
    15: 1.1,
    16: 1.0,
    17: 0.9,
    18: 0.7,
}
"""How busy the hours of the day are; about 1."""

USES_AN_HOUR = 4.0
"""Uses of hold and mute by one agent in an average hour."""

SHUT = {(1, 1), (12, 25)}
HOLIDAYS = {(5, 1), (7, 20), (8, 7), (12, 8)}
SATURDAY, SUNDAY = 5, 6


@lru_cache(maxsize=500)  # some 100 MB of busy days of 50 agents
def _generated_day(spec: _Spec, day: date) -> _Day:
    # A string seeds with SHA-512 of its text, so the days are the same in every process.
    rng = random.Random(f"{spec.seed}:{spec.profile}:{spec.busy}:{len(spec.names)}:{day}")
    if spec.profile == "empty" or (spec.profile == "office" and (day.month, day.day) in SHUT):
        uses: list[Use] = []
    elif spec.profile == "around_the_clock":
        uses = _around_the_clock(spec, day, rng)
    elif spec.profile == "quiet" or day.weekday() == SUNDAY or (day.month, day.day) in HOLIDAYS:
        uses = _a_handful(spec, day, rng)
    else:
        uses = _office_day(spec, day, rng)
    return _as_day(_without_skipped_hour(uses, day, ZoneInfo(spec.zone)))


def _use(agent: str, at: datetime, rng: random.Random) -> Use:
    """Mute is for a cough, hold for looking something up."""
    if rng.random() < 0.55:
        return Use(at, agent, "hold", min(1_800, 5 + int(rng.lognormvariate(3.9, 0.8))))
    return Use(at, agent, "mute", min(300, 1 + int(rng.lognormvariate(2.5, 0.7))))


def _office_day(spec: _Spec, day: date, rng: random.Random) -> list[Use]:
    midnight = datetime.combine(day, time())
    saturday = day.weekday() == SATURDAY
    highest = max(RUSH.values())
    uses = []
    for number, agent in enumerate(spec.names):
        if rng.random() < (0.75 if saturday else 0.06):  # off duty, on holiday, ill
            continue
        starts, ends = (8, 13) if saturday else SHIFTS[number % len(SHIFTS)]
        lunch = 24.0 if saturday else LUNCHES[number % len(LUNCHES)]
        hour: float = starts
        # A Poisson process whose rate follows the rush: drawn at the highest rate, then thinned out.
        while True:
            hour += rng.expovariate(USES_AN_HOUR * spec.busy * highest)
            if hour >= ends:
                break
            if rng.random() < RUSH[int(hour)] / highest and not lunch <= hour < lunch + 1:
                uses.append(_use(agent, midnight + timedelta(seconds=int(hour * 3600)), rng))
    if not saturday and rng.random() < 0.4:  # now and then somebody stays on
        at = midnight + timedelta(hours=19, seconds=rng.randrange(2 * 3600))
        uses.append(_use(rng.choice(spec.names), at, rng))
    return uses


def _a_handful(spec: _Spec, day: date, rng: random.Random) -> list[Use]:
    midnight = datetime.combine(day, time())
    on_call = rng.sample(spec.names, min(2, len(spec.names)))
    return [
        _use(rng.choice(on_call), midnight + timedelta(hours=8, seconds=rng.randrange(10 * 3600)), rng)
        for _ in range(rng.randint(5, 8))
    ]


def _around_the_clock(spec: _Spec, day: date, rng: random.Random) -> list[Use]:
    midnight = datetime.combine(day, time())
    third = -(-len(spec.names) // 3)
    shifts = [spec.names[i * third : (i + 1) * third] or spec.names for i in range(3)]
    uses = []
    for window in range(288):
        on_duty = shifts[window // 96]
        how_many = 1 + int(rng.expovariate(1) * spec.busy * len(on_duty) * 0.2)
        for _ in range(how_many):
            at = midnight + timedelta(seconds=window * 300 + rng.randrange(300))
            uses.append(_use(rng.choice(on_duty), at, rng))
    return uses


def _without_skipped_hour(uses: list[Use], day: date, zone: ZoneInfo) -> list[Use]:
    """Without what would have happened at times that the clock never shows."""
    midnight = datetime.combine(day, time())
    before, after = (at.replace(tzinfo=zone).utcoffset() for at in (midnight - DAY, midnight + 2 * DAY))
    if before == after:  # nearly always, and quick
        return uses
    return [use for use in uses if _shown(use.at, zone)]


def _shown(at: datetime, zone: ZoneInfo) -> bool:
    return at.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == at
