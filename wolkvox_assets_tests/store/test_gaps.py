"""What is missing, and what may have changed since anybody looked, as the tables say it."""

from datetime import datetime, timedelta

from wolkvox_assets.store import Store
from wolkvox_assets.store.gaps import holes, perhaps_unsettled
from wolkvox_assets.windows import WINDOW, Range

DAY = datetime(2026, 11, 18)


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
        assert holes(con, "main", DAY, DAY + 12 * WINDOW) == [
            Range(DAY + 10 * WINDOW, DAY + 12 * WINDOW),
            Range(DAY + 7 * WINDOW, DAY + 9 * WINDOW),
            Range(DAY + 2 * WINDOW, DAY + 5 * WINDOW),
        ]
        assert holes(con, "main", DAY + 5 * WINDOW, DAY + 7 * WINDOW) == []
        assert holes(con, "nobody", DAY, DAY + WINDOW) == [Range(DAY, DAY + WINDOW)]


def test_windows_that_nobody_looked_at_again_soon_enough_may_be_unsettled(store: Store) -> None:
    for n, later in enumerate(
        (timedelta(minutes=6), timedelta(hours=23), timedelta(days=1), timedelta(days=30))
    ):
        known(store, DAY + n * WINDOW, DAY + n * WINDOW + later)
    known(store, DAY, DAY, operation="other")
    with store.reading() as con:
        assert con is not None
        day = timedelta(days=1)
        assert list(perhaps_unsettled(con, "main", DAY + 9 * day, day)) == [DAY, DAY + WINDOW]
        assert list(perhaps_unsettled(con, "main", DAY + WINDOW, day)) == [DAY]
        assert list(perhaps_unsettled(con, "main", DAY + 9 * day, timedelta(hours=1))) == [DAY]


def test_windows_that_are_left_out_are_no_holes(store: Store) -> None:
    known(store, DAY, DAY)
    with store.reading() as con:
        assert con is not None
        assert holes(con, "main", DAY, DAY + 5 * WINDOW, {DAY + 2 * WINDOW, DAY - WINDOW}) == [
            Range(DAY + 3 * WINDOW, DAY + 5 * WINDOW),
            Range(DAY + WINDOW, DAY + 2 * WINDOW),
        ]
