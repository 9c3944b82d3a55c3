"""What is due, as pure functions of the clock and of what is known, at fixed moments."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from wolkvox_assets.pipeline import due_work
from wolkvox_assets.report.windows import WINDOW, Range, contiguous
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.additivity import Verdict
from wolkvox_assets.sync import Additivity
from wolkvox_assets.sync.divide import months

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MONDAY = date(2026, 11, 16)
LONG_AGO = datetime(2026, 1, 1)


def operation(zone: str = "America/Bogota", start: date = date(2026, 1, 1)) -> Operation:
    return Operation(server="0013", start=start, timezone=zone)


BOGOTA = operation()  # UTC-5, always
SANTIAGO = operation("America/Santiago")


class Known:
    """What is stored: the known windows, and when each was verified (UTC, naive)."""

    def __init__(self, windows: Iterable[datetime] = (), verified_at: datetime = LONG_AGO) -> None:
        self.at = dict.fromkeys(windows, verified_at)

    def __call__(self, r: Range) -> dict[datetime, datetime]:
        return {window: at for window, at in self.at.items() if r.start <= window < r.end}

    def days(self) -> dict[date, tuple[int, datetime]]:
        found: dict[date, list[datetime]] = {}
        for window, at in self.at.items():
            found.setdefault(window.date(), []).append(at)
        return {day: (len(at), min(at)) for day, at in found.items()}

    def holes(self, r: Range) -> list[Range]:
        known = [r.start - WINDOW, *sorted(w for w in self.at if r.start <= w < r.end), r.end]
        return [Range(a + WINDOW, b) for a, b in pairwise(known) if b > a + WINDOW][::-1]

    def verify(self, windows: Iterable[datetime], now: datetime) -> None:
        for window in windows:
            self.at[window] = now.astimezone(UTC).replace(tzinfo=None)


def missing(of: Operation, known: Known, now: datetime, most: int) -> list[Range]:
    return due_work.gaps(of.clock, known.holes(due_work.history(of, now)), now, most)


def bogota(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """This moment of Bogotá's wall clock, aware."""
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC) + 5 * HOUR


def wall(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute)


def windows(start: datetime, end: datetime) -> list[datetime]:
    return list(Range(start, end).windows())


def day_of(day: date, of: Operation = BOGOTA) -> list[datetime]:
    return of.clock.windows_of_day(day)


# Live windows


def live(known: Known, now: datetime, of: Operation = BOGOTA, delay: timedelta = MINUTE) -> list[datetime]:
    return due_work.live_windows(of, known.at, now, delay)


def test_a_window_is_live_once_its_delay_is_over_and_until_it_is_known() -> None:
    known = Known(windows(wall(MONDAY, 0), wall(MONDAY, 9)))
    assert live(known, bogota(MONDAY, 9, 5, 59)) == []
    assert live(known, bogota(MONDAY, 9, 6)) == [wall(MONDAY, 9)]
    assert live(known, bogota(MONDAY, 9, 5), delay=timedelta()) == [wall(MONDAY, 9)]
    known.verify([wall(MONDAY, 9)], bogota(MONDAY, 9, 6))
    assert live(known, bogota(MONDAY, 9, 6)) == []


def test_missed_ticks_are_made_up_for_seventy_minutes_and_then_are_gaps() -> None:
    known, now = Known(), bogota(MONDAY, 12, 1)
    found = live(known, now)
    assert found == windows(wall(MONDAY, 10, 50), wall(MONDAY, 12))
    # What is live now is no gap, what is older is one: nothing between the two, nothing in both.
    assert missing(BOGOTA, known, now, 20)[0].end == found[0]


def test_every_window_is_live_or_a_gap_at_any_minute_of_a_day() -> None:
    known = Known()
    for minute in range(0, 24 * 60, 7):
        now = bogota(MONDAY, 0) + minute * MINUTE
        gaps = missing(BOGOTA, known, now, 50)
        assert gaps[0].end == live(known, now)[0]
        assert due_work.ended(BOGOTA, [gaps[0].end - WINDOW], now - due_work.SETTLED_AFTER)


def test_nothing_before_the_start_of_history_is_live() -> None:
    young = operation(start=MONDAY)
    assert live(Known(), bogota(MONDAY, 0, 12), of=young) == windows(wall(MONDAY, 0), wall(MONDAY, 0, 10))
    assert live(Known(), bogota(MONDAY, 0, 5), of=young) == []


# Santiago. Clocks go back on 5 April 2026 at 00:00, so that 23:00 to 24:00 of the 4th passes twice (the second
# time from 03:00 to 04:00 UTC), and forward on 6 September at 00:00, so that this day begins at 01:00 (04:00 UTC).

TWICE, SKIPPED = date(2026, 4, 4), date(2026, 9, 6)


def test_the_repeated_hour_is_live_after_its_second_pass_only() -> None:
    known = Known(windows(wall(TWICE, 0), wall(TWICE, 23)))
    first_pass_over = datetime(2026, 4, 5, 3, 0, tzinfo=UTC)
    for minutes in range(-55, 6):
        assert live(known, first_pass_over + minutes * MINUTE, SANTIAGO) == []
    assert live(known, first_pass_over + 6 * MINUTE, SANTIAGO) == [wall(TWICE, 23)]
    assert live(known, first_pass_over + 61 * MINUTE, SANTIAGO) == windows(
        wall(TWICE, 23), wall(TWICE, 23) + HOUR
    )


def test_the_repeated_hour_is_no_gap_before_its_second_pass_has_settled() -> None:
    known = Known(windows(wall(date(2026, 1, 1), 0), wall(TWICE, 23)))
    midnight = datetime(2026, 4, 5, 4, 0, tzinfo=UTC)  # the second pass is over
    seen: set[datetime] = set()
    for minutes in range(-65, 141, 5):
        now = midnight + minutes * MINUTE
        found = [w for r in missing(SANTIAGO, known, now, 100) for w in r.windows()]
        assert len(found) == len(set(found))
        assert all(SANTIAGO.clock.end_utc(w) <= now - due_work.SETTLED_AFTER for w in found)
        seen |= set(found)
    # …and then all of it is.
    assert seen >= set(windows(wall(TWICE, 23), wall(TWICE, 23) + HOUR))


def test_the_skipped_hour_is_never_due_and_never_a_gap() -> None:
    after = datetime(2026, 9, 6, 4, 0, tzinfo=UTC)  # 01:00
    for minutes in range(1, 80):
        found = live(Known(), after + minutes * MINUTE, SANTIAGO)
        assert all(SANTIAGO.clock.shows(window) for window in found)
    assert live(Known(), after + 6 * MINUTE, SANTIAGO)[-1] == wall(SKIPPED, 1)
    found = [w for r in missing(SANTIAGO, Known(), after + 9 * HOUR, 400) for w in r.windows()]
    assert wall(SKIPPED, 1) in found
    assert wall(SKIPPED, 0) - WINDOW in found
    assert not set(found) & set(windows(wall(SKIPPED, 0), wall(SKIPPED, 1)))
    whole = Known(w for n in range(-10, 2) for w in day_of(SKIPPED + n * DAY, SANTIAGO))
    young = operation("America/Santiago", SKIPPED - 10 * DAY)
    assert missing(young, whole, after + 30 * HOUR, 400) == []


# Gaps


def test_gaps_are_found_newest_first_and_no_more_than_asked_for() -> None:
    now = bogota(MONDAY, 12)
    start = MONDAY - 3 * DAY
    young = operation(start=start)
    known = Known(windows(wall(start, 0), wall(MONDAY, 12)))
    for gone in (wall(start, 0), wall(start, 7), wall(start, 7, 5), wall(MONDAY, 8)):
        del known.at[gone]
    everything = [
        Range(wall(MONDAY, 8), wall(MONDAY, 8, 5)),
        Range(wall(start, 7), wall(start, 7, 10)),
        Range(wall(start, 0), wall(start, 0, 5)),
    ]
    assert missing(young, known, now, 100) == everything
    assert missing(young, known, now, 4) == everything
    assert missing(young, known, now, 3) == everything[:2]
    # Of a gap that is too long, the newest part.
    assert missing(young, known, now, 2) == [
        everything[0],
        Range(wall(start, 7, 5), wall(start, 7, 10)),
    ]


def test_history_is_a_gap_down_to_its_first_day_and_no_further() -> None:
    now = bogota(MONDAY, 12)
    assert missing(operation(start=MONDAY - DAY), Known(), now, 9999) == [
        Range(wall(MONDAY - DAY, 0), wall(MONDAY, 10, 50))
    ]
    assert missing(operation(start=MONDAY), Known(), bogota(MONDAY, 0, 30), 9) == []
    assert missing(operation(start=MONDAY + DAY), Known(), now, 9) == []


def test_a_gap_over_both_clock_changes_is_every_window_that_the_clock_shows() -> None:
    start, now = date(2026, 3, 1), datetime(2026, 10, 1, tzinfo=UTC)
    of = operation("America/Santiago", start)
    found = missing(of, Known(), now, 99999)
    assert len(found) == 2  # the skipped hour lies between them
    assert found[0].start == wall(SKIPPED, 1)
    assert found[1] == Range(wall(start, 0), wall(SKIPPED, 0))


# Verifying


def due(
    known: Known, now: datetime, additivity: Additivity = Additivity.PROVED, of: Operation = BOGOTA
) -> list[datetime]:
    return due_work.to_verify(of, known, known.days(), additivity, now)


def test_an_hour_is_verified_exactly_once_when_it_has_settled() -> None:
    known = Known(day_of(MONDAY), datetime(2026, 11, 18))  # later than any hour of the day: nothing due
    eight = windows(wall(MONDAY, 8), wall(MONDAY, 9))
    known.verify(eight, bogota(MONDAY, 9, 1))
    assert due(known, bogota(MONDAY, 9, 59, 59)) == []
    assert due(known, bogota(MONDAY, 10)) == eight
    known.verify(eight, bogota(MONDAY, 10, 1))
    for minutes in range(0, 12 * 60, 20):
        assert due(known, bogota(MONDAY, 10, 1) + minutes * MINUTE) == []


def test_an_hour_that_is_partly_known_is_left_to_the_gaps() -> None:
    known = Known(day_of(MONDAY), datetime(2026, 11, 18))
    eight = windows(wall(MONDAY, 8), wall(MONDAY, 9))
    known.verify(eight, bogota(MONDAY, 9, 1))
    del known.at[eight[3]]
    assert due(known, bogota(MONDAY, 10)) == []
    known.verify(eight, bogota(MONDAY, 9, 50))
    assert due(known, bogota(MONDAY, 10)) == eight


def test_the_last_month_is_verified_once_a_day_when_the_next_day_has_begun() -> None:
    tuesday = MONDAY + DAY
    known = Known()
    days = [MONDAY - n * DAY for n in range(40, -1, -1)]
    for day in days:
        known.verify(day_of(day), bogota(MONDAY, 1))
    last_month = [w for day in days[-31:] for w in day_of(day)]
    assert not set(due(known, bogota(tuesday, 0, 59, 59))) & set(day_of(MONDAY)[-12:])  # not settled
    assert due(known, bogota(tuesday, 1)) == last_month
    assert len([m for r in contiguous(last_month) for m in months(r)]) == 2  # requests
    known.verify(last_month, bogota(tuesday, 1, 1))
    known.verify(windows(wall(tuesday, 0), wall(tuesday, 23)), bogota(tuesday + DAY, 1))  # nothing due of it
    for minutes in range(0, 24 * 60 - 2, 30):
        assert due(known, bogota(tuesday, 1, 1) + minutes * MINUTE) == []
    # The next day all but the oldest come again.
    assert due(known, bogota(tuesday + DAY, 1)) == [w for day in days[-30:] for w in day_of(day)]


def test_history_is_verified_once_a_month_a_few_months_of_it_a_day() -> None:
    """Three years, loaded in one day: in the month after it each day comes, and at most two requests a day more."""
    loaded = bogota(MONDAY, 3)
    known = Known()
    for n in range(1, 3 * 365):
        known.verify(day_of(MONDAY - n * DAY)[::144], loaded)  # two windows a day stand for all of them
    history = {window for window in known.at if window < wall(MONDAY, 0) - 62 * DAY}
    of = operation(start=MONDAY - 4 * 365 * DAY)
    at = {day: (288, seen) for day, (_, seen) in known.days().items()}
    seen: set[datetime] = set()
    for n in range(1, 33):
        now = bogota(MONDAY + n * DAY, 1)
        verified = due_work.to_verify(of, known, at, Additivity.PROVED, now)
        assert (
            len({(w.year, w.month) for w in verified}) <= 5
        )  # the last month's two among them, and one cut in two
        seen |= set(verified)
        at |= {w.date(): (288, now.replace(tzinfo=None)) for w in verified}
        known.verify(verified, now)
    assert history <= seen


def test_a_day_that_nobody_looked_at_after_its_close_is_verified_however_long_ago_it_was() -> None:
    """Off from Friday evening to Tuesday: what came late on Friday is found, and once is enough."""
    friday = MONDAY - 3 * DAY
    for additivity in Additivity:
        known = Known(day_of(friday), bogota(friday, 17).replace(tzinfo=None))
        tuesday = bogota(MONDAY + DAY, 9)
        known.verify(windows(wall(friday, 17), wall(friday + DAY, 0)), tuesday)  # gaps, filled a moment ago
        assert due(known, tuesday, additivity) == windows(wall(friday, 0), wall(friday, 17))
        long_ago = Known(day_of(date(2026, 1, 5)), datetime(2026, 1, 5, 12))
        assert due(long_ago, tuesday, additivity) == day_of(date(2026, 1, 5))
        long_ago.verify(day_of(date(2026, 1, 5)), tuesday)
        assert due(long_ago, tuesday + 5 * MINUTE, additivity) == []


def test_a_day_whose_gap_stays_is_verified_all_the_same() -> None:
    known = Known(day_of(MONDAY), bogota(MONDAY, 12).replace(tzinfo=None))
    del known.at[wall(MONDAY, 11)]
    assert due(known, bogota(MONDAY + DAY, 2)) == []
    assert due(known, bogota(MONDAY + 2 * DAY, 1)) == [w for w in day_of(MONDAY) if w != wall(MONDAY, 11)]
    known.verify(list(known.at), bogota(MONDAY + 2 * DAY, 1))
    assert due(known, bogota(MONDAY + 20 * DAY, 1)) == []


def test_a_day_that_is_partly_known_is_not_verified_as_a_whole_and_holds_up_no_other() -> None:
    known = Known([*day_of(MONDAY - DAY), *day_of(MONDAY)])
    del known.at[wall(MONDAY, 11)]
    assert due(known, bogota(MONDAY + DAY, 1)) == day_of(MONDAY - DAY)


def test_where_verifying_costs_a_request_a_window_only_the_last_day_is() -> None:
    additivity = Additivity.FAILED
    tuesday = MONDAY + DAY
    known = Known([*day_of(MONDAY - DAY), *day_of(MONDAY)])
    assert due(known, bogota(MONDAY, 20), additivity) == day_of(MONDAY - DAY)
    known.verify(day_of(MONDAY - DAY), bogota(MONDAY, 20))
    assert due(known, bogota(MONDAY, 21), additivity) == []  # no hours
    assert due(known, bogota(tuesday, 1), additivity) == day_of(MONDAY)
    known.verify(day_of(MONDAY), bogota(tuesday, 1, 5))
    assert due(known, bogota(tuesday, 2), additivity) == []


def test_what_was_verified_already_is_not_verified_again_when_a_run_broke_half_way() -> None:
    """Or a window whose answer can't be read any more would have all of its day asked at every tick."""
    tuesday = MONDAY + DAY
    known = Known([*day_of(MONDAY - DAY), *day_of(MONDAY)])
    at = bogota(tuesday, 1)
    bad = wall(MONDAY, 10, 5)
    known.verify((w for w in due(known, at) if w != bad), at)
    assert due(known, at + 5 * MINUTE) == [bad]
    assert due(known, at + 5 * MINUTE, Additivity.FAILED) == [bad]


@pytest.mark.parametrize("additivity", Additivity)
def test_windows_that_were_asked_just_before_days_of_outage_are_verified_after_it(
    additivity: Additivity,
) -> None:
    known = Known(day_of(MONDAY - DAY), datetime(2026, 11, 17))
    evening = windows(wall(MONDAY, 21), wall(MONDAY, 22, 30))
    for window in evening:
        known.verify([window], BOGOTA.clock.end_utc(window) + MINUTE)
    saturday = bogota(MONDAY + 5 * DAY, 9)
    others = (
        day_of(MONDAY - DAY) if additivity is not Additivity.FAILED else []
    )  # of the last month, once a day
    assert due(known, saturday, additivity) == others + evening
    known.verify(others + evening, saturday)
    assert due(known, saturday + 5 * MINUTE, additivity) == []


def test_nothing_before_the_start_of_history_is_verified() -> None:
    known = Known([*day_of(MONDAY - DAY), *day_of(MONDAY)])
    assert sorted(due(known, bogota(MONDAY + DAY, 2), of=operation(start=MONDAY))) == day_of(MONDAY)


@pytest.mark.parametrize("day", [TWICE, SKIPPED])
def test_all_of_a_day_when_clocks_change_is_verified_within_the_day_and_once_after_it(day: date) -> None:
    """Simulated tick by tick: each hour once when it has settled, the whole day once when it has closed."""
    start = SANTIAGO.clock.start_utc(day_of(day, SANTIAGO)[0])
    known = Known()
    times: dict[datetime, list[datetime]] = {window: [] for window in day_of(day, SANTIAGO)}
    now = start
    while now < start + 30 * HOUR:
        known.verify(live(known, now, SANTIAGO), now)
        verified = due(known, now, of=SANTIAGO)
        for window in verified:
            assert SANTIAGO.clock.shows(window)
            assert SANTIAGO.clock.end_utc(window) <= now - due_work.SETTLED_AFTER
            if window in times:
                times[window].append(now)
        known.verify(verified, now)
        now += 15 * MINUTE
    assert {len(at) for at in times.values()} <= {1, 2}
    assert {at[-1] for at in times.values()} == {max(max(at) for at in times.values())}  # the day, at once
    # All hours but the last, which the day comes with.
    assert sum(len(at) == 1 for at in times.values()) == 12


def test_a_day_of_live_duties_costs_at_most_330_requests_where_nothing_changes() -> None:
    """One a window, one a range that is verified: what the duties alone come to."""
    known = Known([w for n in (1, 2, 3, 4) for w in day_of(MONDAY - n * DAY)], datetime(2026, 11, 16))
    requests = 0
    now = bogota(MONDAY, 0, 1)
    for window in windows(wall(MONDAY, 0) - 3 * WINDOW, wall(MONDAY, 0)):
        del known.at[window]
    while now < bogota(MONDAY + DAY, 0, 1):
        new = live(known, now)
        assert len(new) == 3
        known.verify(new, now)
        ranges = contiguous(due(known, now))
        requests += len(new) + len(ranges)
        known.verify((w for r in ranges for w in r.windows()), now)
        now += 15 * MINUTE
    assert 288 + 23 <= requests <= 330


# Additivity, need, and the next tick


def test_a_verdict_is_worth_something_for_a_while() -> None:
    at = datetime(2026, 11, 16, 12, tzinfo=UTC)
    holds, fails = Verdict(at, True, "seen"), Verdict(at, False, "seen")
    assert due_work.additivity_at(None, at) is Additivity.UNPROVED
    assert due_work.additivity_at(holds, at + due_work.PROVED_FOR - timedelta(seconds=1)) is Additivity.PROVED
    assert due_work.additivity_at(holds, at + due_work.PROVED_FOR) is Additivity.UNPROVED
    assert due_work.additivity_at(fails, at + due_work.FAILED_FOR - timedelta(seconds=1)) is Additivity.FAILED
    assert due_work.additivity_at(fails, at + due_work.FAILED_FOR) is Additivity.UNPROVED


@pytest.mark.parametrize("delay", [timedelta(), MINUTE, 4 * MINUTE])
def test_the_next_window_is_due_its_delay_after_it_ends(delay: timedelta) -> None:
    for seconds in range(0, 900, 7):
        now = bogota(MONDAY, 9) + timedelta(seconds=seconds)
        at = due_work.next_live(now, delay)
        assert now < at <= now + WINDOW
        known = Known(live(Known(), now, delay=delay))
        assert live(known, at - timedelta(microseconds=1), delay=delay) == []
        assert len(live(known, at, delay=delay)) == 1
