"""What is missing, and what may have changed since anybody looked, as the tables say it."""

from datetime import UTC, datetime, timedelta

from wolkvox_assets.api import RequestRecord
from wolkvox_assets.store import Store
from wolkvox_assets.store.gaps import asked_in_vain, holes, perhaps_unsettled
from wolkvox_assets.store.requests import record_requests
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


def test_what_was_asked_by_itself_and_is_not_verified_by_it_was_asked_in_vain(store: Store) -> None:
    at = DAY + timedelta(days=2)

    def asked(window: datetime, windows: int = 1, api: str = "agent_9") -> None:
        last = window + windows * WINDOW - timedelta(seconds=1)
        record = RequestRecord(
            at.replace(tzinfo=UTC),
            api,
            f"{window:%Y%m%d%H%M%S}",
            f"{last:%Y%m%d%H%M%S}",
            200,
            "200",
            "",
            1,
            0.1,
            "",
        )
        with store.transaction() as con:
            record_requests(con, "main", [record], run_id="run")

    for n, verified_at in enumerate((DAY, at + WINDOW, DAY, DAY)):
        known(store, DAY + n * WINDOW, verified_at)
    for n in (0, 1):
        asked(DAY + n * WINDOW)
    asked(DAY + 2 * WINDOW, windows=2)  # not by itself
    asked(DAY + 9 * WINDOW)  # not known
    with store.reading() as con:
        assert con is not None
        assert asked_in_vain(con, "main", at - WINDOW) == {DAY}
        assert asked_in_vain(con, "main", at) == set()
        assert asked_in_vain(con, "other", DAY) == set()
