"""A commit by clocks that are wrong, and by right ones after it: nothing made up stays, nothing true is lost."""

from datetime import UTC, date, datetime, timedelta

from wolkvox_assets.pipeline.commit import Batch, Checked, Handed, commit
from wolkvox_assets.report.clocks import Clocks, moment
from wolkvox_assets.report.measures import Agents, Usage
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.windows import WindowContent
from wolkvox_assets.sync import Discard
from wolkvox_assets_tests.store.tables import query

BOGOTA = Operation(server="0013", start=date(2026, 11, 1))
YESTERDAY = datetime(2026, 11, 24)
NOW = datetime(2026, 11, 25, 6, tzinfo=UTC)  # an hour after midnight in Bogota
USES = {"Ana": Usage(1, 20, 10, 30)}


def store_them(
    store: Store,
    clocks: Clocks,
    first: datetime,
    count: int = 1,
    agents: Agents | None = None,
    *,
    run: str = "run",
) -> Batch:
    batch = Batch()
    for window in (first + n * WINDOW for n in range(count)):
        start = BOGOTA.clock.start_utc(window)
        batch.add(WindowContent(window, start, agents or {}, "asked", clocks.now(), moment()))
    (stored,) = commit(store, [Handed(BOGOTA, clocks, batch)], run)
    return stored


def clocks(off: timedelta = timedelta(), *, heard: bool = False) -> Clocks:
    """This machine's clock is off by so much; the server, if `heard`, has answered with the right time."""
    found = Clocks(now=lambda: NOW + off)
    if heard:
        found.heard(NOW, NOW + off)
    return found


def day_of(store: Store, day: datetime) -> list[tuple[object, ...]]:
    return query(
        store,
        f"SELECT windows_known, complete FROM operation_hold_mute_daily WHERE local_date = '{day.date()}'",
    )


def test_windows_that_are_still_to_come_are_not_known(store: Store) -> None:
    store_them(store, clocks(timedelta(days=30)), YESTERDAY + timedelta(hours=23), 12 * 49)
    assert query(store, "SELECT COUNT(*) FROM agent_9_window_log") == [(588,)]
    store_them(store, clocks(), YESTERDAY)
    assert query(store, "SELECT MAX(window_start) FROM agent_9_window_log") == [
        (BOGOTA.clock.now(NOW) - WINDOW,)
    ]
    assert [day_of(store, YESTERDAY + timedelta(days=n)) for n in (0, 1, 2)] == [[(1, False)], [], []]


def test_what_replaces_an_answer_of_the_future_is_no_correction(store: Store) -> None:
    store_them(store, clocks(timedelta(days=30)), YESTERDAY)
    store_them(store, clocks(), YESTERDAY, agents=USES)
    assert query(store, "SELECT COUNT(*) FROM agent_9_windows") == [(1,)]
    assert query(store, "SELECT * FROM agent_9_corrections") == []
    store_them(store, clocks(), YESTERDAY)
    assert query(store, "SELECT COUNT(*) FROM agent_9_corrections") == [(4,)]


def test_a_clock_that_is_behind_makes_no_day_less_known_where_the_server_tells_the_time(
    store: Store,
) -> None:
    store_them(store, clocks(), YESTERDAY, 288, USES)
    for off in (timedelta(hours=-3), timedelta(days=-400)):
        store_them(store, clocks(off, heard=True), YESTERDAY - timedelta(days=1))
        assert day_of(store, YESTERDAY) == [(288, True)]


def test_once_the_clock_is_right_each_day_is_told_as_it_was(store: Store) -> None:
    store_them(store, clocks(), YESTERDAY, 288, USES)
    store_them(store, clocks(timedelta(minutes=-59)), YESTERDAY, 12, USES)
    assert day_of(store, YESTERDAY) == [(12, False)]
    store_them(store, clocks(), YESTERDAY - timedelta(days=1))
    assert day_of(store, YESTERDAY) == [(288, True)]


def test_with_the_first_row_ever_earlier_days_are_asked_again(store: Store) -> None:
    """A server that lacked the report has answered like one where nobody used hold or mute."""
    store_them(store, clocks(), YESTERDAY - timedelta(days=2), 576)
    store_them(store, clocks(), YESTERDAY, run="the one with the row")
    batch = store_them(store, clocks(), YESTERDAY + WINDOW, 287, USES, run="the one with the row")
    assert [day_of(store, YESTERDAY - timedelta(days=n)) for n in (0, 1, 2)] == [[(288, True)], [], []]
    assert ["2 days before 2026-11-24" in remark.text for remark in batch.remarks] == [True]
    store_them(store, clocks(), YESTERDAY - timedelta(days=2), 576)
    batch = store_them(store, clocks(), YESTERDAY, agents=USES)
    assert [day_of(store, YESTERDAY - timedelta(days=n)) for n in (0, 1, 2)] == [[(288, True)]] * 3
    assert batch.remarks == []


def test_what_agreed_and_is_then_thrown_away_agrees_no_more() -> None:
    hour = Range(YESTERDAY, YESTERDAY + timedelta(hours=1))
    batch = Batch()
    for first in (hour, Range(hour.end, hour.end + timedelta(hours=1))):
        batch.add(Checked(first, NOW))
    batch.add(Discard((Range(YESTERDAY, YESTERDAY + WINDOW),), "made up"))
    assert [checked.agreed for checked in batch.verified] == [False, True]
