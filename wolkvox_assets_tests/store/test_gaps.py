"""What is missing, and what may have changed since anybody looked, as the tables say it."""

from datetime import UTC, datetime, timedelta

from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.store import Store
from wolkvox_assets.store.gaps import holes, verified
from wolkvox_assets_tests.lakes import BOTH
from wolkvox_assets_tests.store.tables import agent_9

STORES = BOTH
DAY = datetime(2026, 11, 18)
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def known(store: Store, window: datetime, verified_at: datetime, operation: str = "main") -> None:
    with store.transaction() as con:
        con.execute(
            "INSERT INTO agent_9_window_log VALUES ($operation, $at, $at::DATE, 0, 'asked', $seen, $seen, 'run')",
            {"operation": operation, "at": window, "seen": verified_at},
        )


def test_holes_are_what_is_not_known_newest_first(store: Store) -> None:
    for n in (0, 1, 5, 6, 9):
        known(store, DAY + n * WINDOW, DAY)
    known(store, DAY + 3 * WINDOW, DAY, operation="other")
    with store.reading() as con:
        assert con is not None
        assert holes(agent_9(con), Range(DAY, DAY + 12 * WINDOW), NOW) == [
            Range(DAY + 10 * WINDOW, DAY + 12 * WINDOW),
            Range(DAY + 7 * WINDOW, DAY + 9 * WINDOW),
            Range(DAY + 2 * WINDOW, DAY + 5 * WINDOW),
        ]
        assert holes(agent_9(con), Range(DAY + 5 * WINDOW, DAY + 7 * WINDOW), NOW) == []
        assert holes(agent_9(con, "nobody"), Range(DAY, DAY + WINDOW), NOW) == [Range(DAY, DAY + WINDOW)]


def test_moments_of_the_future_say_nothing(store: Store) -> None:
    """A clock was ahead when they were stored, or is behind now: known in no case, or not verified since."""
    for n in range(4):
        known(store, DAY + n * WINDOW, DAY)
    ahead = NOW.replace(tzinfo=None) + timedelta(hours=6)
    with store.transaction() as con:
        con.execute(
            "UPDATE agent_9_window_log SET fetched_at = $1, verified_at = $1 WHERE window_start = $2",
            [ahead, DAY],
        )
        con.execute(
            "UPDATE agent_9_window_log SET verified_at = ? WHERE window_start = ?", [ahead, DAY + WINDOW]
        )
    with store.reading() as con:
        assert con is not None
        assert holes(agent_9(con), Range(DAY, DAY + 4 * WINDOW), NOW) == [Range(DAY, DAY + WINDOW)]
        assert verified(agent_9(con), Range(DAY, DAY + 4 * WINDOW), NOW) == {
            DAY + n * WINDOW: DAY for n in (1, 2, 3)
        }
        later = NOW + timedelta(hours=6)
        assert holes(agent_9(con), Range(DAY, DAY + 4 * WINDOW), later) == []


def test_windows_that_are_left_out_are_no_holes(store: Store) -> None:
    known(store, DAY, DAY)
    with store.reading() as con:
        assert con is not None
        assert holes(agent_9(con), Range(DAY, DAY + 5 * WINDOW), NOW, {DAY + 2 * WINDOW, DAY - WINDOW}) == [
            Range(DAY + 3 * WINDOW, DAY + 5 * WINDOW),
            Range(DAY + WINDOW, DAY + 2 * WINDOW),
        ]
