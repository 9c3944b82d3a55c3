"""What the views for people say."""

from datetime import timedelta

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store import Store
from wolkvox_assets.store.daily import rebuild_days
from wolkvox_assets_tests.lakes import BOTH
from wolkvox_assets_tests.project import utc_now
from wolkvox_assets_tests.store.tables import agent_9, content, query, replace_windows, window

STORES = BOTH
HOUR = timedelta(hours=1)


def test_hours_shares_and_days_that_are_not_complete(store: Store) -> None:
    first = window(0)
    used = {
        first: {"Ana": Usage(1, 10, 20, 30), "Luis": Usage(2, 0, 30, 30)},
        first + timedelta(minutes=5): {"Ana": Usage(1, 60, 0, 60)},
        first + HOUR: {"Ana": Usage(1, 0, 0, 0)},
    }
    with store.transaction() as con:
        replace_windows(agent_9(con), [content(at, agents) for at, agents in used.items()], run_id="r")
        rebuild_days(agent_9(con), {first.date(): 288}, utc_now())
    day = first.date()
    assert query(store, "FROM hold_mute_by_hour ORDER BY hour") == [
        ("main", day, first.hour, 2, 4, 70, 50, 120),
        ("main", day, first.hour + 1, 1, 1, 0, 0, 0),
    ]
    assert query(
        store, "SELECT agent_name, percent_of_operation, place FROM agent_day_share ORDER BY place"
    ) == [("Ana", 75.0, 1), ("Luis", 25.0, 2)]
    assert query(store, "SELECT * EXCLUDE verified_at FROM days_not_complete") == [("main", day, 3, 288, 285)]
