"""The reserve of the day's quota is never touched, and looking at the quota is done sparingly."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from wolkvox_assets.api import AnswerUnreadable, NotFound, Quota, UnknownReport, WolkvoxError
from wolkvox_assets.api.errors import ConnectionFailed, TokenRefused
from wolkvox_assets.pipeline.quota import QuotaGuard, ReserveReached, Share
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.store.quota_readings import NOTHING_SEEN, QuotaReading, QuotaSeen, Refusal

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
        return Quota(self.limit, self.used, self.used)

    def guard(
        self,
        *,
        reserve: float = 0.2,
        known: tuple[QuotaReading, int] | None = None,
        seen: QuotaSeen = NOTHING_SEEN,
        windows: int = 5000,
        live: int = 0,
    ) -> QuotaGuard:
        if known is not None:
            seen = QuotaSeen((known[0],), since=known[1])
        return QuotaGuard(Share(BOGOTA, reserve, live), seen, windows=windows, now=lambda: self.now)

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
    server.now += 5 * MINUTE
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


def test_what_live_windows_need_until_the_renewal() -> None:
    midnight = NOON + 12 * HOUR
    assert 288 + 24 <= Share(BOGOTA, 0.2, 1).kept_for_live(NOTHING_SEEN, midnight) <= 345
    assert 12 <= Share(BOGOTA, 0.2, 1).kept_for_live(NOTHING_SEEN, midnight - HOUR) <= 15
    assert Share(BOGOTA, 0.2, 5).kept_for_live(NOTHING_SEEN, midnight - timedelta(seconds=1)) == 0
    # Three operations share it, and it is renewed at 18:00.
    seen = QuotaSeen((QuotaReading(NOON - HOUR, 1000, 1, restarts_at=NOON + 6 * HOUR),))
    until_midnight = Share(BOGOTA, 0.2, 1).kept_for_live(NOTHING_SEEN, midnight - 6 * HOUR)
    assert Share(BOGOTA, 0.2, 3).kept_for_live(seen, NOON) == 3 * until_midnight


def test_requests_are_held_back_for_live_windows() -> None:
    server = Server(1000)
    kept = 165
    server.ask(server.guard(live=1))
    assert 800 - kept - 10 <= server.used <= 800 - kept
    # The live run has them.
    server.ask(server.guard(windows=14))
    assert 790 <= server.used <= 800
    # With too few for both, live windows have them all: those of all operations that share the quota.
    for live in (1, 2):
        server = Server(1000, 800 - live * kept)
        with pytest.raises(ReserveReached, match=f"and {live * kept} for live windows"):
            server.guard(live=live).check(server.read)
        server.guard().check(server.read)


def test_history_that_stopped_for_live_windows_waits_for_an_hour() -> None:
    """Although they need a request less every five minutes."""
    server = Server(1000, 700)
    with pytest.raises(ReserveReached) as stop:
        server.guard(live=1).check(server.read)
    assert stop.value.until == NOON + HOUR
    assert stop.value.new is not None
    server.now += 59 * MINUTE
    with pytest.raises(ReserveReached):
        server.guard(known=(stop.value.new, 12), live=1).check(server.read)
    assert server.looks == 1


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
    assert 620 <= server.ask(server.guard(live=1)) <= 635
    server.now += 6 * HOUR
    assert 70 <= server.ask(server.guard(live=1)) <= 85


def test_a_server_that_cannot_say_is_not_asked_again_by_each_run() -> None:
    server = Server(10)
    server.error = NotFound()
    ago = server.now - HOUR
    guard = server.guard(seen=QuotaSeen(in_vain_at=ago, unreadable_at=ago), windows=14)
    assert server.ask(guard, 50) == 50
    assert server.looks == 0
    server.now += 6 * HOUR
    assert server.ask(guard, 50) == 50
    assert server.looks == 1


@pytest.mark.parametrize("error", [NotFound, ConnectionFailed])
def test_a_reading_still_counts_when_the_next_look_is_in_vain(error: Callable[..., WolkvoxError]) -> None:
    """Also past the operation's midnight: whether the server's day is over is not known. Not past a whole day."""
    midnight = NOON + 12 * HOUR
    server = Server(1000, 800, now=midnight + 10 * MINUTE)
    server.error = error()
    assert server.ask(server.guard(known=(server.reading(2 * HOUR), 0)), 20) == 0
    assert server.looks == 1
    assert server.ask(server.guard(known=(server.reading(24 * HOUR), 0)), 20) == 20
    # With something left it goes on, and stops where that is used up by its own count.
    server = Server(1000, 700, now=midnight + 10 * MINUTE)
    server.error = error()
    assert 90 <= server.ask(server.guard(known=(server.reading(2 * HOUR), 0))) <= 100
    assert server.looks <= 3


def test_what_cannot_be_read_is_said_once() -> None:
    server = Server(1000)
    server.error = AnswerUnreadable("Row 1 of 'data', column 'token_limit' is 0.")
    guard = server.guard()
    server.ask(guard, 1)
    said = guard.warning()
    assert said is not None
    assert "the reserve of 20% is not kept" in said
    assert "token_limit" in said
    server.ask(guard, 100)
    assert guard.warning() is None
    # The next run has it from the store.
    ago = server.now - HOUR
    said = server.guard(seen=QuotaSeen(in_vain_at=ago, unreadable_at=ago)).warning()
    assert said is not None
    assert "requested at 2026-11-16 16:00 UTC" in said
    # One that was read, or can be, says nothing.
    assert server.guard(known=(server.reading(), 0)).warning() is None
    server.error = None
    server.ask(guard := server.guard(), 1)
    assert guard.warning() is None


def test_a_refusal_of_a_moment_ago_is_not_asked_for_again() -> None:
    """By another operation, or another token, with the same quota."""
    server = Server(1000)
    seen = QuotaSeen(refusals=(Refusal(NOON - 10 * MINUTE),))
    with pytest.raises(ReserveReached, match="the server said at 2026-11-16 16:50 UTC that") as stop:
        server.guard(seen=seen).check(server.read)
    assert stop.value.until == NOON + 50 * MINUTE
    assert server.looks == 0
    server.now = stop.value.until
    assert server.ask(server.guard(seen=seen), 10) == 10


def test_a_reading_of_the_future_is_not_believed() -> None:
    """A clock was ahead when it was read: by it the reserve would be touched for hours."""
    server = Server(1000, used=790)
    guard = server.guard(known=(QuotaReading(NOON + 3 * HOUR, 1000, 0), 0))
    assert server.ask(guard) <= 10
    assert server.looks > 0
