from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wolkvox_assets.report.windows import WINDOW, Range, one
from wolkvox_assets.sync.divide import cut, days, halves, hours, in_one_day, merged, months, without
from wolkvox_assets_tests.sync.model import DAY, MONDAY, MONTH, day_of

ranges = st.builds(
    lambda start, length: Range(MONDAY + start * WINDOW, MONDAY + (start + length) * WINDOW),
    st.integers(-9000, 9000),
    st.integers(1, 9000),
)


def at(text: str) -> datetime:
    return datetime.strptime(f"2026-11-16 {text}", "%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("start", "end", "boundary"),
    [
        ("00:00", "12:00", "06:00"),
        ("06:00", "12:00", "09:00"),
        ("09:00", "12:00", "11:00"),
        ("09:00", "10:00", "09:30"),
        ("09:00", "09:15", "09:10"),
        ("09:00", "09:10", "09:05"),
        ("05:55", "11:00", "06:00"),
        ("00:05", "23:55", "12:00"),
    ],
)
def test_halves_cuts_where_people_do(start: str, end: str, boundary: str) -> None:
    r = Range(at(start), at(end))
    assert halves(r) == (Range(r.start, at(boundary)), Range(at(boundary), r.end))


def test_halves_of_longer_ranges_cuts_at_midnight() -> None:
    assert halves(DAY)[0].end == at("12:00")
    assert halves(MONTH)[0] == day_of(MONTH.start, 16)
    assert halves(Range(at("23:50"), at("23:50") + timedelta(days=3)))[0].end.hour == 0


def test_a_window_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="2026-11-16 09:00:00"):
        halves(one(at("09:00")))


@given(ranges)
def test_pieces_are_the_whole(r: Range) -> None:
    for pieces in (months(r), days(r), hours(r)):
        found = list(pieces)
        assert merged(found) == [r]
        assert sum(map(len, found)) == len(r)
        assert found == sorted(found, reverse=True)
    assert all(in_one_day(day) for day in days(r))
    assert all(len(month) <= 31 * 288 for month in months(r))
    if len(r) > 1:
        earlier, later = halves(r)
        assert (earlier.start, earlier.end, later.end) == (r.start, later.start, r.end)
        assert len(earlier)
        assert len(later)


@given(st.lists(ranges, max_size=4), ranges)
def test_merged_and_without(some: list[Range], gone: Range) -> None:
    windows = {w for r in some for w in r.windows()}
    assert [w for r in merged(some) for w in r.windows()] == sorted(windows)
    left = without(merged(some), gone)
    assert {w for r in left for w in r.windows()} == windows - set(gone.windows())


@given(ranges, st.integers(-100_000, 100_000))
def test_cut(r: Range, minutes: int) -> None:
    moment = r.start + timedelta(minutes=minutes, seconds=1)
    before, after = cut(r, moment)
    assert list(before.windows()) == [w for w in r.windows() if w < moment]
    assert list(after.windows()) == [w for w in r.windows() if w >= moment]


def test_cut_far_away() -> None:
    assert cut(DAY, datetime(9999, 12, 31, 23, 59, 59)) == (DAY, Range(DAY.end, DAY.end))
    assert cut(DAY, datetime(1, 1, 1)) == (Range(DAY.start, DAY.start), DAY)
    assert merged([Range(DAY.end, DAY.start)]) == []
