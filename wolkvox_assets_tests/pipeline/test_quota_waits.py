"""Until when a used-up quota is waited for: whatever day the server counts, whatever was seen, whatever the clocks."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wolkvox_assets.api import NotFound, Quota, QuotaUsedUp
from wolkvox_assets.pipeline.quota import QuotaGuard, ReserveReached, Share, next_renewal, valid_reading
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.store.quota_readings import NOTHING_SEEN, OVERLAP, QuotaReading, QuotaSeen, Refusal

BOGOTA = WallClock("America/Bogota")  # its midnight is 5:00 UTC
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = 5 * MINUTE
NOON = datetime(2026, 11, 16, 17, tzinfo=UTC)


def used_up(at: datetime, restarts_at: datetime | None = None) -> QuotaReading:
    return QuotaReading(at, 1000, 900, restarts_at)


def plenty(at: datetime, used: int = 10) -> QuotaReading:
    return QuotaReading(at, 1000, used)


def wait(seen: QuotaSeen, now: datetime = NOON, live: int = 0) -> datetime | None:
    return Share(BOGOTA, 0.2, live).waits_until(seen, now)


# One thing at a time


def test_nothing_seen_is_no_reason_to_wait() -> None:
    assert wait(NOTHING_SEEN) is None
    assert wait(QuotaSeen((plenty(NOON - MINUTE),))) is None
    assert wait(QuotaSeen((plenty(NOON - MINUTE),), in_vain_at=NOON)) is None
    assert wait(QuotaSeen(in_vain_at=NOON, unreadable_at=NOON)) is None


def test_a_used_up_quota_is_looked_at_an_hour_later() -> None:
    seen_at = NOON - 20 * MINUTE
    for seen in (QuotaSeen((used_up(seen_at),)), QuotaSeen(refusals=(Refusal(seen_at),))):
        assert wait(seen) == seen_at + HOUR
        assert wait(seen, seen_at + HOUR) is None
        assert wait(seen, seen_at + 9 * HOUR) is None


def test_and_just_after_the_operations_midnight_while_nothing_else_is_known() -> None:
    seen = QuotaSeen((used_up(NOON + 12 * HOUR - 20 * MINUTE),))
    assert wait(seen, NOON + 12 * HOUR - 10 * MINUTE) == NOON + 12 * HOUR + 3 * MINUTE


def test_and_when_the_server_says_that_it_begins_anew() -> None:
    seen = QuotaSeen((used_up(NOON - 20 * MINUTE, restarts_at=NOON + 30 * MINUTE),))
    assert wait(seen) == NOON + 33 * MINUTE
    assert valid_reading(seen, NOON + 32 * MINUTE) is not None
    assert valid_reading(seen, NOON + 33 * MINUTE) is None  # it says nothing of today, without a look
    # A moment of the past, or hours away: as if it had said nothing.
    for restarts_at in (NOON - HOUR, NOON + 5 * HOUR):
        assert wait(QuotaSeen((used_up(NOON - 20 * MINUTE, restarts_at),))) == NOON + 40 * MINUTE


@pytest.mark.parametrize(
    "seen",
    [
        QuotaSeen((used_up(NOON - DAY - 20 * MINUTE), plenty(NOON - DAY + 10 * MINUTE))),
        QuotaSeen(refusals=(Refusal(NOON - DAY - 20 * MINUTE, NOON - DAY + 10 * MINUTE),)),
        # The narrower of two ranges that both hold it, in whatever order they were seen.
        QuotaSeen(
            (used_up(NOON - 3 * DAY - 5 * HOUR), plenty(NOON - 3 * DAY + 5 * HOUR)),
            refusals=(Refusal(NOON - DAY - 20 * MINUTE, NOON - DAY + 10 * MINUTE),),
        ),
        QuotaSeen(
            (used_up(NOON - DAY - 5 * HOUR), plenty(NOON - DAY + 5 * HOUR)),
            refusals=(Refusal(NOON - 3 * DAY - 20 * MINUTE, NOON - 3 * DAY + 10 * MINUTE),),
        ),
    ],
)
def test_and_when_it_was_seen_to_be_renewed_before(seen: QuotaSeen) -> None:
    stopped = seen._replace(refusals=(*seen.refusals, Refusal(NOON - MINUTE)))
    assert wait(stopped) == NOON + 9 * MINUTE


def test_what_only_looks_like_a_renewal() -> None:
    """Two operations that ask at once, a clock that was set back, days without a look; more licences once."""
    midnight = NOON + 12 * HOUR
    for readings in (
        (plenty(NOON - HOUR, 500), plenty(NOON - HOUR + OVERLAP, 499)),
        (plenty(NOON - HOUR, 500), plenty(NOON - 2 * HOUR, 10)),
        (plenty(NOON - 30 * HOUR, 500), plenty(NOON - HOUR, 10)),
    ):
        assert next_renewal(QuotaSeen(readings), BOGOTA, NOON) == midnight
    days = [NOON - n * DAY for n in (5, 4, 3, 2, 1)]
    right = tuple(r for day in days for r in (used_up(day - HOUR), plenty(day)))
    odd = (used_up(NOON - 5 * HOUR), plenty(NOON - 5 * HOUR + 10 * MINUTE))
    assert NOON - TICK < next_renewal(QuotaSeen((*right, *odd)), BOGOTA, NOON - TICK) < NOON


def test_an_answer_after_a_refusal_says_that_it_can_go_on() -> None:
    refused = Refusal(NOON - 20 * MINUTE)
    assert wait(QuotaSeen(refusals=(refused._replace(answered_at=NOON - 10 * MINUTE),))) is None
    earlier = Refusal(NOON - 3 * HOUR, NOON - 2 * HOUR)
    assert wait(QuotaSeen(refusals=(earlier, refused))) == NOON + 40 * MINUTE


def test_what_is_counted_since_the_last_look_stops_only_after_a_look() -> None:
    reading = QuotaReading(NOON - 30 * MINUTE, 1000, 700)
    assert wait(QuotaSeen((reading,), since=99)) is None
    seen = QuotaSeen((reading,), since=99, in_vain_at=NOON - 20 * MINUTE)
    assert wait(seen) == NOON + 40 * MINUTE
    # A used-up one is looked at in vain: not again for an hour.
    seen = QuotaSeen((used_up(NOON - 3 * HOUR),), in_vain_at=NOON - 20 * MINUTE)
    assert wait(seen) == NOON + 40 * MINUTE


def test_live_windows_go_on_where_all_else_waits() -> None:
    seen = QuotaSeen((QuotaReading(NOON - 20 * MINUTE, 1000, 700),))
    assert wait(seen) is None
    assert wait(seen, live=1) == NOON + 40 * MINUTE
    # What they need until midnight gets less, and a minute later is no reason to look again.
    assert wait(seen, NOON + 39 * MINUTE, live=1) == NOON + 40 * MINUTE


# Any evidence

moments = st.integers(-12 * 24 * 60, 12 * 24 * 60).map(lambda minutes: NOON + minutes * MINUTE)
maybe = st.none() | moments
readings = st.builds(QuotaReading, moments, st.integers(1, 2000), st.integers(0, 2500), maybe)
refusals = st.builds(Refusal, moments, maybe)
evidence = st.builds(
    QuotaSeen,
    st.lists(readings, max_size=8).map(tuple),
    st.integers(0, 2000),
    st.lists(refusals, max_size=8).map(tuple),
    maybe,
    maybe,
)


@given(evidence, moments, st.sampled_from([0.0, 0.2, 1.0]), st.integers(0, 5))
def test_nobody_waits_for_more_than_an_hour_whatever_was_seen(
    seen: QuotaSeen, now: datetime, reserve: float, live: int
) -> None:
    """Readings in any order, and clocks that were set back and ahead."""
    until = Share(BOGOTA, reserve, live).waits_until(seen, now)
    assert until is None or now < until <= now + HOUR
    renewal = next_renewal(seen, BOGOTA, now)
    assert renewal > now
    assert until is None or seen.readings or seen.refusals


@given(st.permutations([(n, used) for n in range(4) for used in (950, 5)]))
def test_the_order_in_which_things_were_seen_only_hides_renewals(order: list[tuple[int, int]]) -> None:
    """Noon is the renewal of each day: at a quarter to it all is used, at a quarter past nothing is."""
    seen = QuotaSeen(
        tuple(
            QuotaReading(NOON - n * DAY + (15 * MINUTE if used == 5 else -15 * MINUTE), 1000, used)
            for n, used in order
        )
    )
    renewal = next_renewal(seen, BOGOTA, NOON + HOUR)
    assert (
        renewal == NOON + 12 * HOUR or NOON + DAY < renewal < NOON + DAY + 15 * MINUTE
    )  # or nothing was learned


# A server's days


@dataclass
class Server:
    """Counts a day that begins so long after UTC midnight, but for days on which it is late, and takes no more than
    `limit` requests of it. `knows`: it answers token_info."""

    begins: timedelta
    limit: int = 400
    knows: bool = True
    late: dict[int, timedelta] = field(default_factory=dict)
    used: int = 0
    day: int = 0

    def renewal(self, day: int) -> datetime:
        return datetime(2026, 11, 16, tzinfo=UTC) + self.begins + day * DAY + self.late.get(day, timedelta())

    def ask(self, now: datetime) -> None:
        while now >= self.renewal(self.day + 1):
            self.day, self.used = self.day + 1, 0
        if self.used >= self.limit:
            raise QuotaUsedUp
        self.used += 1

    def token_info(self, now: datetime) -> Quota:
        self.ask(now)
        if not self.knows:
            raise NotFound
        return Quota(self.limit, self.used, self.used)


@dataclass
class Days:
    """What became of some days: when each day's first request was let through, and when it was tried in vain. `seen`:
    as `quotas_seen` gives it, without what says nothing more."""

    asked: dict[int, datetime] = field(default_factory=dict)
    vain: list[datetime] = field(default_factory=list)
    seen: QuotaSeen = NOTHING_SEEN

    def tick(self, server: Server, now: datetime) -> None:
        """A run for one window, as `loading.py` does it."""
        guard = QuotaGuard(Share(BOGOTA, 0.2), self.seen, windows=1, now=lambda: now)
        reading = None
        try:
            reading = guard.check(lambda: server.token_info(now))
            server.ask(now)
        except ReserveReached as stop:
            reading = stop.new
            self.vain.append(now)
        except QuotaUsedUp:
            answered = [r for r in self.seen.refusals if r.answered_at is not None]
            self.seen = self.seen._replace(refusals=(*answered, Refusal(now)))
            self.vain.append(now)
        else:
            self.asked.setdefault(server.day, now)
            refusals = tuple(
                r._replace(answered_at=now) if r.answered_at is None and now - r.refused_at > OVERLAP else r
                for r in self.seen.refusals
            )
            self.seen = self.seen._replace(refusals=refusals, since=self.seen.since + 1)
        if reading is not None:
            self.seen = self.seen._replace(readings=(*self._said_more(reading), reading), since=1)
        elif guard.seen.in_vain_at == now:
            self.seen = self.seen._replace(in_vain_at=now, unreadable_at=now)

    def _said_more(self, reading: QuotaReading) -> tuple[QuotaReading, ...]:
        """The readings so far, without the last one where the count began anew neither with it nor since."""
        seen = self.seen.readings
        began = not seen or reading.used < seen[-1].used or (len(seen) > 1 and seen[-1].used < seen[-2].used)
        return seen if began else seen[:-1]


def live_through(server: Server, days: int, others: int) -> Days:
    """A tick each five minutes. `others`: requests that somebody else makes in that time."""
    found = Days()
    now = server.renewal(0) + 7 * MINUTE
    until = None
    while now < server.renewal(days):
        with suppress(QuotaUsedUp):
            for _ in range(others):
                server.ask(now)
        if until is None or until <= now:
            until = wait(found.seen, now)
        if until is None:
            found.tick(server, now)
        now += TICK
    return found


@settings(max_examples=12)
@given(
    begins=st.integers(0, 24 * 60 - 1),
    knows=st.booleans(),
    late=st.dictionaries(st.integers(1, 3), st.integers(0, 90), max_size=2),
    others=st.sampled_from([0, 3, 20]),
)
def test_it_goes_on_within_the_hour_and_looks_once_an_hour(
    begins: int, knows: bool, late: dict[int, int], others: int
) -> None:
    """A server that counts any zone's day, and is late on some: with token_info or without."""
    server = Server(begins * MINUTE, knows=knows, late={day: n * MINUTE for day, n in late.items()})
    found = live_through(server, 4, others)
    assert sorted(found.asked) == list(range(4))
    for day, at in found.asked.items():
        if day > 0:
            assert at - server.renewal(day) <= HOUR + TICK
    # Of a day at most two more than it has hours: at the learned renewal, and where the server is late.
    for day in range(4):
        looks = [at for at in found.vain if server.renewal(day) <= at < server.renewal(day + 1)]
        assert len(looks) <= (server.renewal(day + 1) - server.renewal(day)) / HOUR + 2


@pytest.mark.parametrize("knows", [True, False], ids=["token_info", "refusals"])
@pytest.mark.parametrize("hour", [0, 3, 19], ids=lambda hour: f"{hour} h UTC")
def test_what_was_learned_brings_it_closer_to_the_renewal(hour: int, *, knows: bool) -> None:
    server = Server(hour * HOUR + 30 * MINUTE, knows=knows)
    found = live_through(server, 6, 20)
    waited = [found.asked[day] - server.renewal(day) for day in range(1, 6)]
    assert waited[0] <= HOUR + TICK
    assert waited[-1] <= min(waited) + TICK


def test_the_operations_own_day_is_known_from_the_first_on() -> None:
    server = Server(5 * HOUR)
    found = live_through(server, 3, 20)
    assert all(found.asked[day] - server.renewal(day) <= 2 * TICK for day in range(1, 3))
