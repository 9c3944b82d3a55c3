"""A lake whose Postgres goes away in the middle: an error, and no more."""

from contextlib import nullcontext

import pytest

from wolkvox_assets.store.errors import StoreError
from wolkvox_assets.store.lake import duck
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets.store.lake.turn import asking

COUNT = "SELECT COUNT(*) FROM agent_9_windows"
BREAK_ALL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
"""


@pytest.fixture
def lake(lake_store: LakeStore) -> LakeStore:
    """With its tables."""
    with lake_store.transaction():
        pass
    return lake_store


def break_all(store: LakeStore) -> None:
    with asking(store.lake) as postgres, postgres.cursor() as cursor:
        cursor.execute(BREAK_ALL)
        assert cursor.rowcount > 0


@pytest.mark.parametrize("writes", [False, True], ids=["reading", "writing"])
@pytest.mark.parametrize("goes_on", [False, True], ids=["ends", "goes on"])
def test_a_connection_that_breaks_does_not_take_the_process_along(
    writes: bool, goes_on: bool, lake: LakeStore
) -> None:
    """DuckDB ends the whole process where a transaction that it gives up itself can't be rolled back."""
    fails = pytest.raises(StoreError, match="repeating is harmless") if writes or goes_on else nullcontext()
    with fails, lake.transaction() if writes else lake.reading() as con:
        assert con is not None
        con.execute(COUNT)
        if writes:
            con.execute("UPDATE schema_version SET version = version")
        break_all(lake)
        if goes_on:
            con.execute(COUNT)
    with lake.transaction() as con:
        assert con.execute(COUNT).fetchall() == [(0,)]


def test_what_others_read_is_not_closed_when_somebody_s_connection_broke(lake: LakeStore) -> None:
    with lake.reading() as con:
        assert con is not None
        duck.forget(lake.lake)
        assert con.execute(COUNT).fetchall() == [(0,)]
