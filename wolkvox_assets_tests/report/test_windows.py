"""The wall clock: windows, days and ranges, above all where clocks change.

The days of the changes are written out by hand from the published rules of each zone, not computed.
"""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wolkvox_assets.report.windows import WINDOW, Range, WallClock, contiguous, one

BOGOTA = WallClock("America/Bogota")  # never changes its clocks
SANTIAGO = WallClock("America/Santiago")  # at midnight: back from 24:00 to 23:00, forward from 00:00 to 01:00
MADRID = WallClock("Europe/Madrid")  # at night: back from 03:00 to 02:00, forward from 02:00 to 03:00

BACK = {SANTIAGO: datetime(2026, 4, 4, 23), MADRID: datetime(2026, 10, 25, 2)}
"""The start of the hour that is passed twice."""
FORWARD = {SANTIAGO: datetime(2026, 9, 6, 0), MADRID: datetime(2026, 3, 29, 2)}
"""The start of the hour that never is."""

HOUR = timedelta(hours=1)
CLOCKS = pytest.mark.parametrize("clock", [SANTIAGO, MADRID], ids=lambda clock: clock.name)


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year, month, day, hour, minute


# One window, one range


def test_a_window_is_asked_for_to_its_last_second() -> None:
    window = datetime(2026, 11, 16, 8, 5)
    assert one(window) == Range(window, datetime(2026, 11, 16, 8, 10))
    assert one(window).last_second == datetime(2026, 11, 16, 8, 9, 59)
    assert len(one(window)) == 1
    assert list(one(window).windows()) == [window]


def test_a_range_says_its_windows_in_order_and_how_many() -> None:
    hour = Range(datetime(2026, 11, 16, 23, 30), datetime(2026, 11, 17, 0, 30))
    windows = list(hour.windows())
    assert len(windows) == len(hour) == 12
    assert windows[0] == hour.start
    assert windows[-1] == datetime(2026, 11, 17, 0, 25)
    assert windows == sorted(set(windows))
    assert hour.last_second == datetime(2026, 11, 17, 0, 29, 59)


def test_a_range_is_told_as_it_is_asked() -> None:
    assert str(one(datetime(2026, 11, 16, 8, 5))) == "2026-11-16 08:05:00 to 2026-11-16 08:09:59"


# contiguous()

_START = datetime(2026, 11, 16, 23)  # over a midnight
_WINDOWS = st.lists(st.integers(0, 40).map(lambda n: _START + n * WINDOW))


@given(_WINDOWS)
@settings(max_examples=200)
def test_contiguous_holds_exactly_these_windows_in_the_fewest_ranges(windows: list[datetime]) -> None:
    ranges = contiguous(windows)
    assert [w for r in ranges for w in r.windows()] == sorted(set(windows))
    # Fewest: as many as there are windows with none right before them.
    assert len(ranges) == sum(1 for w in set(windows) if w - WINDOW not in windows)


def test_contiguous_of_nothing_is_nothing() -> None:
    assert contiguous([]) == []


def test_contiguous_parts_where_an_hour_is_skipped() -> None:
    ranges = contiguous(MADRID.windows_of_day(date(2026, 3, 29)))
    assert ranges == [
        Range(datetime(2026, 3, 29), datetime(2026, 3, 29, 2)),
        Range(datetime(2026, 3, 29, 3), datetime(2026, 3, 30)),
    ]


# UTC and the wall


@pytest.mark.parametrize(
    ("clock", "moment", "wall"),
    [
        (BOGOTA, utc(2026, 11, 16, 13, 5), datetime(2026, 11, 16, 8, 5)),
        (BOGOTA, utc(2026, 11, 16, 4, 59, 59), datetime(2026, 11, 15, 23, 59, 59)),
        (SANTIAGO, utc(2026, 4, 5, 2, 30), datetime(2026, 4, 4, 23, 30)),
        (SANTIAGO, utc(2026, 4, 5, 3, 30), datetime(2026, 4, 4, 23, 30)),
        (SANTIAGO, utc(2026, 4, 5, 4, 0), datetime(2026, 4, 5, 0, 0)),
        (SANTIAGO, utc(2026, 9, 6, 3, 55), datetime(2026, 9, 5, 23, 55)),
        (SANTIAGO, utc(2026, 9, 6, 4, 0), datetime(2026, 9, 6, 1, 0)),
        (MADRID, utc(2026, 3, 29, 0, 55), datetime(2026, 3, 29, 1, 55)),
        (MADRID, utc(2026, 3, 29, 1, 0), datetime(2026, 3, 29, 3, 0)),
        (MADRID, utc(2026, 10, 25, 0, 30), datetime(2026, 10, 25, 2, 30)),
        (MADRID, utc(2026, 10, 25, 1, 30), datetime(2026, 10, 25, 2, 30)),
    ],
)
def test_the_wall_shows(clock: WallClock, moment: datetime, wall: datetime) -> None:
    shown = clock.now(moment)
    assert shown == wall
    assert shown.tzinfo is None
    assert shown.fold == 0  # both passes are one window, in every respect


@pytest.mark.parametrize(
    ("clock", "window", "start", "end"),
    [
        (BOGOTA, datetime(2026, 11, 16, 8, 5), utc(2026, 11, 16, 13, 5), utc(2026, 11, 16, 13, 10)),
        # Passed twice: begins with the first pass, is over with the second.
        (SANTIAGO, datetime(2026, 4, 4, 23, 0), utc(2026, 4, 5, 2, 0), utc(2026, 4, 5, 3, 5)),
        (SANTIAGO, datetime(2026, 4, 4, 23, 55), utc(2026, 4, 5, 2, 55), utc(2026, 4, 5, 4, 0)),
        (MADRID, datetime(2026, 10, 25, 2, 0), utc(2026, 10, 25, 0, 0), utc(2026, 10, 25, 1, 5)),
        (MADRID, datetime(2026, 10, 25, 2, 55), utc(2026, 10, 25, 0, 55), utc(2026, 10, 25, 2, 0)),
        # Right before and after.
        (SANTIAGO, datetime(2026, 4, 4, 22, 55), utc(2026, 4, 5, 1, 55), utc(2026, 4, 5, 2, 0)),
        (SANTIAGO, datetime(2026, 4, 5, 0, 0), utc(2026, 4, 5, 4, 0), utc(2026, 4, 5, 4, 5)),
        (SANTIAGO, datetime(2026, 9, 5, 23, 55), utc(2026, 9, 6, 3, 55), utc(2026, 9, 6, 4, 0)),
        (SANTIAGO, datetime(2026, 9, 6, 1, 0), utc(2026, 9, 6, 4, 0), utc(2026, 9, 6, 4, 5)),
        (MADRID, datetime(2026, 3, 29, 1, 55), utc(2026, 3, 29, 0, 55), utc(2026, 3, 29, 1, 0)),
        (MADRID, datetime(2026, 3, 29, 3, 0), utc(2026, 3, 29, 1, 0), utc(2026, 3, 29, 1, 5)),
    ],
)
def test_when_a_window_begins_and_is_over(
    clock: WallClock, window: datetime, start: datetime, end: datetime
) -> None:
    assert clock.start_utc(window) == start
    assert clock.end_utc(window) == end
    assert clock.start_utc(window).utcoffset() == clock.end_utc(window).utcoffset() == timedelta(0)
    # Which of its passes the caller happens to name does not matter.
    assert clock.start_utc(window.replace(fold=1)) == start
    assert clock.end_utc(window.replace(fold=1)) == end


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        WallClock("America/Nowhere")


# Days


@pytest.mark.parametrize(
    ("clock", "day", "windows"),
    [
        (BOGOTA, date(2026, 4, 4), 288),
        (BOGOTA, date(2026, 9, 6), 288),
        (SANTIAGO, date(2026, 4, 4), 288),
        (SANTIAGO, date(2026, 4, 5), 288),
        (SANTIAGO, date(2026, 9, 5), 288),
        (SANTIAGO, date(2026, 9, 6), 276),
        (SANTIAGO, date(2026, 9, 7), 288),
        (MADRID, date(2026, 3, 29), 276),
        (MADRID, date(2026, 10, 25), 288),
        (WallClock("Australia/Lord_Howe"), date(2026, 10, 4), 282),  # forward by half an hour
    ],
)
def test_how_many_windows_a_day_has(clock: WallClock, day: date, windows: int) -> None:
    found = clock.windows_of_day(day)
    assert len(found) == windows
    assert found == sorted(set(found))
    assert {w.date() for w in found} == {day}


def test_the_day_that_begins_at_one() -> None:
    assert SANTIAGO.windows_of_day(date(2026, 9, 6))[0] == datetime(2026, 9, 6, 1, 0)


@CLOCKS
def test_the_skipped_hour_is_never_shown(clock: WallClock) -> None:
    skipped = list(Range(FORWARD[clock], FORWARD[clock] + HOUR).windows())
    assert [w for w in skipped if clock.shows(w)] == []
    assert clock.shows(FORWARD[clock] - WINDOW)
    assert clock.shows(FORWARD[clock] + HOUR)


# passes()


def passes_of(clock: WallClock, first: date, days: int) -> list[datetime]:
    """The passes from one midnight to another."""
    return clock.passes(
        clock.start_utc(clock.windows_of_day(first)[0]),
        clock.start_utc(clock.windows_of_day(first + timedelta(days=days))[0]),
    )


@CLOCKS
def test_the_hour_that_is_passed_twice_stands_there_twice(clock: WallClock) -> None:
    hour = list(Range(BACK[clock], BACK[clock] + HOUR).windows())
    passes = passes_of(clock, BACK[clock].date(), 1)
    assert len(passes) == 300
    at = passes.index(BACK[clock])
    assert passes[at : at + 24] == hour + hour
    assert {w for w, times in Counter(passes).items() if times > 1} == set(hour)
    assert {w.fold for w in passes} == {0}


@CLOCKS
def test_the_hour_that_is_skipped_is_not_there(clock: WallClock) -> None:
    passes = passes_of(clock, FORWARD[clock].date() - timedelta(days=1), 2)
    assert len(passes) == 576 - 12
    assert [w for w in passes if FORWARD[clock] <= w < FORWARD[clock] + HOUR] == []
    at = passes.index(FORWARD[clock] + HOUR)
    assert passes[at - 1] == FORWARD[clock] - WINDOW


@CLOCKS
def test_begin_and_end_agree_with_the_passes(clock: WallClock) -> None:
    for moment in (BACK[clock], FORWARD[clock]):
        first = clock.start_utc(clock.windows_of_day(moment.date() - timedelta(days=1))[0])
        seen: dict[datetime, list[datetime]] = {}
        for n, window in enumerate(clock.passes(first, first + timedelta(days=3))):
            seen.setdefault(window, []).append(first + n * WINDOW)
        for window, starts in seen.items():
            assert clock.start_utc(window) == starts[0]
            assert clock.end_utc(window) == starts[-1] + WINDOW


def test_passes_take_moments_in_any_zone_and_leave_the_end_out() -> None:
    clock = WallClock("America/Bogota")
    start = datetime(2026, 11, 16, 14, 5, tzinfo=UTC).astimezone()
    assert clock.passes(start, start + timedelta(minutes=10)) == [
        datetime(2026, 11, 16, 9, 5),
        datetime(2026, 11, 16, 9, 10),
    ]
    assert clock.passes(start, start) == []


@pytest.mark.parametrize("zone", ["America/Bogota", "America/Santiago", "Europe/Madrid"])
def test_a_year_of_days_has_no_window_twice_and_none_missing(zone: str) -> None:
    clock = WallClock(zone)
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    windows = [w for day in days for w in clock.windows_of_day(day)]
    assert len(windows) == len(set(windows))
    assert windows == sorted(windows)
    # Real time, five minutes by five minutes, passes through these windows and no others.
    passes = passes_of(clock, days[0], 365)
    assert set(passes) == set(windows)
    assert len(passes) == 365 * 288  # clocks went back as far as they went forward
