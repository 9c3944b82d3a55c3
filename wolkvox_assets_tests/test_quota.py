"""The reserve of the day's quota is never touched, and looking at the quota is done sparingly."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from wolkvox_assets.api import AnswerUnreadable, NotFound, Quota, UnknownReport, WolkvoxError
from wolkvox_assets.api.errors import ConnectionFailed, TokenRefused
from wolkvox_assets.quota import QuotaGuard, ReserveReached, goes_on_at
from wolkvox_assets.store.verdicts import QuotaReading
from wolkvox_assets.windows import WallClock

BOGOTA = WallClock("America/Bogota")
NOON = datetime(2026, 11, 16, 17, tzinfo=UTC)  # 12:00 in Bogotá
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Server:
    """A server's account of the day, a clock, and how often somebody looked at the account."""

    def __init__(self, limit: int, used: int = 0, now: datetime = NOON) -> None:
        self.limit, self.used, self.now = limit, used, now
        self.looks = 0
        self.error: Exception | None = None

    def read(self) -> Quota:
        self.looks += 1
        if self.error is not None:
            raise self.error
        self.used += 1
        return Quota(self.limit, self.used, self.used, self.limit - self.used)

    def guard(
        self,
        *,
        reserve: float = 0.2,
        known: tuple[QuotaReading, int] | None = None,
        windows: int = 5000,
        held_back: int = 0,
    ) -> QuotaGuard:
        return QuotaGuard(
            BOGOTA, reserve, known, windows=windows, held_back=lambda: held_back, now=lambda: self.now
        )

    def ask(self, guard: QuotaGuard, most: int = 100_000) -> int:
        """Requests until the guard says no, or `most`. A look is a request that is reported as well."""
        for n in range(most):
            looks = self.looks
            try:
                guard.check(self.read)
            except ReserveReached:
                return n
            if self.looks > looks:
                guard.spent()
            self.used += 1
            guard.spent()
        return most

    def reading(self, ago: timedelta = timedelta()) -> QuotaReading:
        return QuotaReading(self.now - ago, self.limit, self.used)


@pytest.mark.parametrize("used", [0, 300, 799])
@pytest.mark.parametrize("reserve", [0.0, 0.2, 0.5])
def test_the_reserve_is_never_touched_and_all_the_rest_is_used(reserve: float, used: int) -> None:
    server = Server(1000, used)
    server.ask(server.guard(reserve=reserve))
    ours = int(1000 * (1 - reserve))
    assert server.used <= max(ours, used + 1)  # one look finds that nothing is left
    assert server.used >= min(ours, 1000) - 5


def test_with_plenty_left_it_hardly_looks() -> None:
    server = Server(100_000)
    assert server.ask(server.guard(), 5000) == 5000
    assert server.looks == 1
    # Close to the end it looks more often, and others' requests are seen in time.
    server = Server(2000)
    server.ask(server.guard())
    assert 2 <= server.looks <= 25


def test_requests_of_others_are_seen_before_the_reserve_is_touched() -> None:
    server = Server(2000)
    guard = server.guard()
    assert server.ask(guard, 500) == 500
    server.used += 900  # somebody else
    server.ask(guard)
    assert server.used <= 1600 + 900 // 4  # what it can't know until it looks


def test_a_reading_that_is_known_saves_a_look() -> None:
    server = Server(10_000, 100)
    assert server.ask(server.guard(known=(server.reading(30 * MINUTE), 20)), 1000) == 1000
    assert server.looks == 0
    server.ask(server.guard(known=(server.reading(2 * HOUR), 20)), 1)
    assert server.looks == 1  # too old for a run that may ask thousands…
    server.ask(server.guard(known=(server.reading(2 * HOUR), 20), windows=14), 14)
    assert server.looks == 1  # …and good enough for one that asks a few
    server.ask(server.guard(known=(server.reading(7 * HOUR), 20), windows=14), 14)
    assert server.looks == 2


def test_another_day_is_another_quota() -> None:
    server = Server(1000, 900, now=NOON + 11 * HOUR + 59 * MINUTE)
    known = (server.reading(), 0)
    server.now += 2 * MINUTE
    server.used = 0
    assert server.ask(server.guard(known=known), 100) == 100
    assert server.looks == 1


def test_a_day_turns_at_the_operations_midnight_not_at_ours() -> None:
    server = Server(1000, 300, now=datetime(2026, 11, 16, 23, 59, tzinfo=UTC))
    known = (server.reading(), 0)
    server.now += 2 * MINUTE  # another day in UTC
    server.ask(server.guard(known=known), 1)
    assert server.looks == 0


def test_it_goes_on_when_the_day_turns_during_a_run() -> None:
    server = Server(1000, now=NOON + 11 * HOUR + 50 * MINUTE)
    guard = server.guard()
    assert server.ask(guard, 700) == 700
    server.now += 20 * MINUTE
    server.used = 0
    assert server.ask(guard, 700) == 700


def test_it_stops_only_after_a_fresh_look() -> None:
    # Counted up it would be at an end, but the server says there is more.
    server = Server(1000, 100)
    known = (QuotaReading(server.now - 30 * MINUTE, 1000, 700), 120)
    assert server.ask(server.guard(known=known), 50) == 50
    assert server.looks == 1


@pytest.mark.parametrize("since", [0, 1])
def test_it_does_not_stop_on_a_reading_that_is_hours_old(since: int) -> None:
    """A person has bought more, or somebody's use was taken back: repeating the run must find out."""
    server = Server(20_000, 900)
    known = (QuotaReading(server.now - 5 * HOUR, 1000, 900), since)
    assert server.ask(server.guard(known=known, windows=14), 14) == 14
    assert server.looks == 1


def test_where_nothing_is_left_it_looks_once_and_not_again() -> None:
    server = Server(1000, 900)
    guard = server.guard()
    for _ in range(3):
        with pytest.raises(ReserveReached, match="of the day's 1000 requests are used; the last 20%"):
            guard.check(server.read)
    assert server.looks == 1


def test_requests_are_held_back_for_live_windows() -> None:
    server = Server(1000)
    server.ask(server.guard(held_back=200))
    assert 590 <= server.used <= 600
    # The live run has them.
    server.ask(server.guard(windows=14))
    assert 790 <= server.used <= 800
    # With too few for both, live windows have them all.
    server = Server(1000, 700)
    with pytest.raises(ReserveReached, match="and 200 for its live windows") as stop:
        server.guard(held_back=200).check(server.read)
    assert stop.value.live_goes_on
    assert stop.value.at == NOON
    server.used = 800
    with pytest.raises(ReserveReached) as stop:
        server.guard(held_back=200).check(server.read)
    assert not stop.value.live_goes_on


@pytest.mark.parametrize("error", [NotFound, UnknownReport, AnswerUnreadable])
def test_a_server_without_token_info_has_no_reserve(error: Callable[..., WolkvoxError]) -> None:
    server = Server(10)
    server.error = error()
    assert server.ask(server.guard(), 500) == 500
    assert server.looks == 1


def test_a_look_that_fails_for_a_while_stops_nothing_and_is_tried_again() -> None:
    server = Server(1000)
    guard = server.guard()
    server.error = ConnectionFailed()
    assert server.ask(guard, 40) == 40
    assert server.looks == 1
    server.error = None
    server.ask(guard)
    assert server.looks > 1
    assert 790 <= server.used <= 800


def test_a_look_that_fails_is_no_leave_to_touch_the_reserve() -> None:
    server = Server(1000, 800)
    server.error = ConnectionFailed()
    assert server.ask(server.guard(known=(server.reading(30 * MINUTE), 0))) == 0
    # But yesterday's reading says nothing about today.
    yesterday = (QuotaReading(server.now - 24 * HOUR, 1000, 1000), 0)
    assert server.ask(server.guard(known=yesterday), 20) == 20


def test_a_token_that_is_refused_is_heard() -> None:
    server = Server(1000)
    server.error = TokenRefused()
    with pytest.raises(TokenRefused):
        server.guard().check(server.read)


def test_live_windows_need_less_as_the_day_goes_on() -> None:
    server = Server(1000)
    held_back = 500
    guard = QuotaGuard(BOGOTA, 0.2, None, windows=5000, held_back=lambda: held_back, now=lambda: server.now)
    assert 290 <= server.ask(guard) <= 300
    held_back = 100
    server.now += 2 * HOUR
    assert 390 <= server.ask(guard) <= 400


def test_a_server_that_cannot_say_is_not_asked_again_by_each_run() -> None:
    server = Server(10)
    server.error = NotFound()
    guard = QuotaGuard(BOGOTA, 0.2, None, in_vain_at=NOON - HOUR, windows=14, now=lambda: server.now)
    assert server.ask(guard, 50) == 50
    assert server.looks == 0
    server.now += 6 * HOUR
    assert server.ask(guard, 50) == 50
    assert server.looks == 1
    # A reading of the same day still counts meanwhile, one of another day doesn't.
    server = Server(1000, 800)
    for ago, expected in ((2 * HOUR, 0), (30 * HOUR, 20)):
        known = (QuotaReading(NOON - ago, 1000, 800), 0)
        guard = QuotaGuard(BOGOTA, 0.2, known, in_vain_at=NOON - HOUR, windows=14, now=lambda: server.now)
        assert server.ask(guard, 20) == expected
    assert server.looks == 0


@pytest.mark.parametrize(
    ("stopped", "again"),
    [((4, 59), (5, 5)), ((5, 0), (5, 5)), ((5, 5), (6, 5)), ((12, 30), (13, 5)), ((23, 6), (24, 5))],
)
def test_a_used_up_quota_is_looked_at_once_an_hour(stopped: tuple[int, int], again: tuple[int, int]) -> None:
    """Whatever day the server counts, and however late it begins its count anew."""
    day = datetime(2026, 11, 17, tzinfo=UTC)
    at = day + stopped[0] * HOUR + stopped[1] * MINUTE
    turn = day + again[0] * HOUR + again[1] * MINUTE
    assert goes_on_at(at) == turn
    assert goes_on_at(at.astimezone(timezone(timedelta(hours=-5)))) == turn


@pytest.mark.parametrize("reset", [0, 1, 5, 19], ids=lambda hour: f"{hour} h UTC")
def test_a_count_that_begins_anew_at_any_hour_is_used_within_the_hour(reset: int) -> None:
    """The operation's midnight is 5:00 UTC: an hour late, or another time zone's day."""
    now = datetime(2026, 11, 16, 18, tzinfo=UTC)
    server = Server(1000, used=1000, now=now)
    begins = now.replace(hour=reset) + (timedelta(days=1) if reset <= 18 else timedelta())
    looks = 0
    while server.now < begins + timedelta(minutes=6):
        guard = server.guard()
        with pytest.raises(ReserveReached):
            guard.check(server.read)
        looks += 1
        server.now = goes_on_at(server.now)
        if server.now >= begins:
            server.used = 0
            break
    assert server.now < begins + HOUR
    server.guard().check(server.read)
    assert looks <= 24


def test_a_reading_of_the_future_is_not_believed() -> None:
    """A clock was ahead when it was read: by it the reserve would be touched for hours."""
    server = Server(1000, used=790)
    guard = server.guard(known=(QuotaReading(NOON + 3 * HOUR, 1000, 0), 0))
    assert server.ask(guard) <= 10
    assert server.looks > 0
