"""What the sync is told of the stored windows."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from wolkvox_assets.api import RequestRecord
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import WINDOW, Range, one
from wolkvox_assets.store import Store
from wolkvox_assets.store.evidence import forget_agreements, leave_out, record_agreements, resting, take_in
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets.store.stored import StoredWindows
from wolkvox_assets.store.windows import Checked, verify_windows
from wolkvox_assets_tests.lakes import BOTH
from wolkvox_assets_tests.store.tables import agent_9, content, replace_windows

STORES = BOTH
NINE = Range(datetime(2026, 11, 18, 9), datetime(2026, 11, 18, 10))
DAY = Range(datetime(2026, 11, 18), datetime(2026, 11, 19))
FETCHED = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def asked(store: Store) -> Store:
    """The windows of an hour were asked, and one after it derived; the hour's own request came to nothing."""
    with store.transaction() as con:
        windows = [content(window, fetched_at=FETCHED) for window in NINE.windows()]
        derived = content(NINE.end, source="derived", fetched_at=FETCHED)
        replace_windows(agent_9(con), [*windows, derived], run_id="run")
        for status, code in ((503, None), (200, "500"), (200, "200")):
            record = RequestRecord(
                FETCHED + MINUTE,
                "agent_9",
                "20261118090000",
                "20261118095959",
                status,
                code,
                "",
                None,
                0.1,
                "",
            )
            record_requests(con, [("main", record)], run_id="run", now=FETCHED)
        verify_windows(con, AGENT_9, {"main": Checked(DAY, FETCHED + 2 * MINUTE)})
    return store


@pytest.mark.parametrize(
    ("range_", "agreed_at", "agreed"),
    [
        (NINE, FETCHED + MINUTE, True),
        (NINE, FETCHED - MINUTE, False),  # fetched anew by another run, after that
        (Range(NINE.start, NINE.end + WINDOW), FETCHED + MINUTE, False),  # not the hour by itself
        (DAY, FETCHED + MINUTE, False),
        (None, None, False),  # requests that failed, or whose answer did not agree, and then the day verified
    ],
)
def test_windows_that_were_asked_and_whether_their_hour_was_and_agreed(
    asked: Store, range_: Range | None, agreed_at: datetime | None, agreed: bool
) -> None:
    if range_ is not None and agreed_at is not None:
        with asked.transaction() as con:
            record_agreements(con, AGENT_9, {"main": Checked(range_, agreed_at)})
    with asked.transaction() as con:
        record_agreements(con, AGENT_9, {"other": Checked(NINE, FETCHED + MINUTE)})
    stored = StoredWindows(asked, "main", AGENT_9)
    assert stored.asked(Range(NINE.start, NINE.end + WINDOW)) == dict.fromkeys(NINE.windows(), agreed)


def test_what_agreed_says_nothing_once_a_window_is_replaced(asked: Store) -> None:
    with asked.transaction() as con:
        record_agreements(con, AGENT_9, {"main": Checked(NINE, FETCHED + MINUTE)})
        forget_agreements(agent_9(con), [one(NINE.end)])
    assert all(StoredWindows(asked, "main", AGENT_9).asked(NINE).values())
    with asked.transaction() as con:
        forget_agreements(agent_9(con), [one(NINE.end - WINDOW)])
    assert not any(StoredWindows(asked, "main", AGENT_9).asked(NINE).values())


def test_a_store_of_before_is_read(asked: Store, forgotten: Callable[[], None]) -> None:
    with asked.transaction() as con:
        con.execute("DROP TABLE agent_9_agreements")
    forgotten()  # it was another process
    assert not any(StoredWindows(asked, "main", AGENT_9).asked(NINE).values())


@pytest.mark.in_files
def test_windows_left_out_rest_longer_each_time_and_are_back_when_they_were_had(asked: Store) -> None:
    window = NINE.start
    rests = []
    for n in range(9):
        at = FETCHED + n * timedelta(days=3)
        with asked.transaction() as con:
            leave_out(agent_9(con), one(window), "HTTP 500", at)
            rests.append(next(m for m in range(15, 3000, 15) if not resting(con, AGENT_9, at + m * MINUTE)))
            assert resting(con, AGENT_9, at) == {"main": {window}}
            assert not resting(con, AGENT_9, at - MINUTE)  # the clock was set back
    assert rests == [15, 30, 60, 120, 240, 480, 960, 1920, 1920]
    with asked.transaction() as con:
        take_in(agent_9(con), NINE)
        assert not resting(con, AGENT_9, FETCHED + timedelta(days=24))


def test_the_hours_of_use_are_those_of_the_nearest_day_of_its_kind(store: Store) -> None:
    def hours(day: int) -> Range | None:
        return StoredWindows(store, "main", AGENT_9).busy_hours(date(2026, 11, day))

    assert hours(18) is None
    used = {9: ("08:10", "17:20"), 11: ("07:00", "18:55"), 17: ("09:00", "09:00"), 18: ("00:00", "23:55")}
    with store.transaction() as con:
        for day, (first, last) in used.items():
            con.execute(
                "INSERT INTO agent_hold_mute_daily"
                " VALUES ('main', $day, 'Ana', 1, 1, 0, 1, 1, $day || ' ' || $first, $day || ' ' || $last)",
                {"day": f"2026-11-{day:02}", "first": first, "last": last},
            )
    at = datetime(2026, 11, 18)
    assert hours(18) == Range(at + timedelta(hours=7), at + timedelta(hours=19))  # a week before
    assert hours(19) == Range(at + timedelta(days=1), at + timedelta(days=2))  # the day before
    assert StoredWindows(store, "other", AGENT_9).busy_hours(date(2026, 11, 19)) is None
