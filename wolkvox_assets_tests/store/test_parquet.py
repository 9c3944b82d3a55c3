"""The tables as Parquet files: what stands in them, which are out of date, whole or not at all."""

from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store import Store
from wolkvox_assets.store.daily import rebuild_days
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.parquet import exported, folder_of, months_out_of_date, write_month
from wolkvox_assets_tests.lakes import BOTH
from wolkvox_assets_tests.store.tables import agent_9, content, query, replace_windows

STORES = BOTH
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
NOW = datetime.fromisoformat("2026-12-01T00:00:00+00:00")


def put(store: Store, *starts: datetime, seconds: int = 7, operation: str = "main") -> None:
    with store.transaction() as con:
        usage = {"Ana Núñez": Usage(1, seconds, 1, seconds + 1)}
        replace_windows(agent_9(con, operation), [content(start, usage) for start in starts], run_id="r")
        rebuild_days(agent_9(con, operation), {start.date(): 288 for start in starts}, NOW)


def export(store: Store, operation: str = "main") -> list[date]:
    """Everything that is out of date; returns the months."""
    with store.reading() as con:
        assert con is not None
        months = months_out_of_date(con, folder_of(store), operation)
        for month in months:
            write_month(con, store, operation, month)
    return months


def rows(folder: Path, table: str) -> list[tuple[object, ...]]:
    files = f"{folder}/{table}/*/*/*.parquet"
    return duckdb.sql(f"FROM read_parquet('{files}', hive_partitioning = false) ORDER BY ALL").fetchall()


def test_they_hold_what_the_tables_hold(store: Store) -> None:
    put(store, datetime(2026, 10, 31, 23, 55), datetime(2026, 11, 1), datetime(2026, 11, 2, 8))
    put(store, datetime(2026, 11, 1), operation="north")
    assert export(store) == [OCTOBER, NOVEMBER]
    assert export(store, "north") == [NOVEMBER]
    for table in exported():
        assert rows(folder_of(store), table) == query(store, f"FROM {table} ORDER BY ALL")
    by_month = duckdb.sql(
        f"SELECT operation, month, COUNT(*) FROM read_parquet('{folder_of(store)}/agent_9_windows/*/*/*.parquet',"
        " hive_partitioning = true, hive_types_autocast = false) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert by_month == [("main", "2026-10", 1), ("main", "2026-11", 2), ("north", "2026-11", 1)]


def test_only_what_holds_something_else_is_out_of_date(store: Store) -> None:
    put(store, datetime(2026, 10, 5, 8), datetime(2026, 11, 5, 8))
    assert export(store) == [OCTOBER, NOVEMBER]
    assert export(store) == []
    put(store, datetime(2026, 10, 5, 8), seconds=8)
    assert export(store) == [OCTOBER]
    for file in folder_of(store).glob("agent_9_windows/*/month=2026-11/*.parquet"):
        file.write_bytes(file.read_bytes()[:-40])
    assert export(store) == [NOVEMBER]


@pytest.mark.in_files
def test_what_is_stored_no_more_is_there_no_more(store: Store) -> None:
    put(store, datetime(2026, 10, 5, 8), datetime(2026, 11, 5, 8))
    export(store)
    with store.transaction() as con:
        for table in exported():
            con.execute(f"DELETE FROM {table} WHERE local_date < '2026-11-01'")
    assert export(store) == [OCTOBER]
    assert {file.parent.name for file in folder_of(store).glob("*/*/*/*.parquet")} == {"month=2026-11"}


def test_a_file_is_whole_or_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, datetime(2026, 11, 5, 8))
    export(store)
    before = rows(folder_of(store), "agent_9_windows")
    put(store, datetime(2026, 11, 5, 8), seconds=9)

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("wolkvox_assets.store.parquet.flush", full)
        with pytest.raises(OSError, match="No space left"):
            export(store)
    assert rows(folder_of(store), "agent_9_windows") == before
    assert not list(folder_of(store).rglob(".*"))
    assert export(store) == [NOVEMBER]


def test_they_have_the_access_of_the_published_file(store: Store) -> None:
    put(store, datetime(2026, 11, 5, 8) + timedelta(0))
    if isinstance(store, FileStore):
        store.published.chmod(0o600)
    export(store)
    mode = 0o600 if isinstance(store, FileStore) else 0o640  # in the lake's case that of a new one
    assert {file.stat().st_mode & 0o777 for file in folder_of(store).rglob("data.parquet")} == {mode}
