"""All that is stored moves from the files to a lake and back, and is the same; killed in the middle it goes on."""

import os
import subprocess
import sys
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.api import RequestRecord
from wolkvox_assets.commands.cli import main
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.windows import WINDOW
from wolkvox_assets.store import OtherSource, Store, StoreError, sources
from wolkvox_assets.store.daily import rebuild_days
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets.store.requests import record_requests
from wolkvox_assets.store.schema import tables_wanted
from wolkvox_assets.store.sources import OperationSource
from wolkvox_assets.store.transfer import copy
from wolkvox_assets_tests.project import ROOT
from wolkvox_assets_tests.store.tables import Row, agent_9, content, query, replace_windows

FIRST = datetime(2026, 10, 31, 23)
HERE = OperationSource("https://wv0013.wolkvox.com", "0013", "America/Bogota")
TABLES = tables_wanted().keys() - {"schema_version", "store_rewrites"}


def fill(con: duckdb.DuckDBPyConnection, operation: str) -> None:
    """Windows at the ends of two months, and something in tables that go as a whole."""
    windows = [
        content(
            FIRST + day * timedelta(days=30) + n * WINDOW,
            {"Ana": Usage(n, 2, 3, day), "Ñandú": Usage(1, 0, 0, 0)},
        )
        for day in (0, 1)
        for n in range(14)
    ]
    requests = [
        RequestRecord(
            window.window_start_utc, "agent_9", "a", None, 200, None, 'x\x00y\n"', n, 0.1 * n, '{"ñ": []}'
        )
        for n, window in enumerate(windows)
    ]
    replace_windows(agent_9(con, operation), windows, run_id="run")
    rebuild_days(
        agent_9(con, operation), {window.window_start.date(): 288 for window in windows}, datetime.now(UTC)
    )
    record_requests(
        con, [(operation, one) for one in requests], run_id="run", now=windows[-1].window_start_utc
    )
    # The one stored last has the earlier moment.
    for moment in ("2026-11-02", "2026-11-01"):
        con.execute("INSERT INTO quota_readings VALUES (?, ?, 1000, 1, 'run')", [operation, moment])
    sources.record(con, operation, HERE)


@pytest.fixture
def files(store: FileStore) -> FileStore:
    """With two operations."""
    with store.transaction() as con:
        fill(con, "north")
        fill(con, "south")
    return store


@pytest.fixture
def settings(lake_store: LakeStore, files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOLKVOX_STORE", f"ducklake:postgres:{lake_store.lake.postgres.get_secret_value()}")
    monkeypatch.setenv("WOLKVOX_STORE_DATA", lake_store.lake.data)
    monkeypatch.setenv("WOLKVOX_DATA_DIR", str(files.folder))


def stored(store: Store) -> dict[str, list[Row]]:
    """Every row of every table; of those that have an order, in it."""
    found = {table: query(store, f"FROM {table} ORDER BY rowid") for table in TABLES}
    return {
        table: rows if table == "quota_readings" else sorted(rows, key=repr) for table, rows in found.items()
    }


def copied(to: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["copy", "--to", to])
    assert end.value.code == 0


@pytest.mark.usefixtures("settings")
def test_killed_and_repeated_and_back_it_is_the_same(
    files: FileStore,
    lake_store: LakeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = files.own.read_bytes()
    command = "import wolkvox_assets_tests; from wolkvox_assets.commands.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "copy", "--to", "lake"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout is not None
        while b"2026-10" not in (output := os.read(process.stdout.fileno(), 1000)):
            assert output, "it ended before it had copied anything"
        process.kill()
    # Nobody can store anything beside what is not finished.
    with pytest.raises(OtherSource, match="a copy that is not finished"), lake_store.transaction() as con:
        sources.claim(con, "north", HERE)
    assert len(query(lake_store, "FROM agent_9_windows")) < len(query(files, "FROM agent_9_windows"))

    copied("lake")
    assert stored(lake_store) == stored(files)
    assert files.own.read_bytes() == before
    said = capsys.readouterr().out
    assert "south: 2026-10 2026-11 2026-12 and the rest\n" in said
    assert "south: agent_9_windows: 56 rows equal, hold_mute_count 210, hold_seconds 56," in said

    copied("lake")  # once more: there is nothing to do
    monkeypatch.setenv("WOLKVOX_DATA_DIR", str(tmp_path / "back"))
    copied("files")
    assert stored(FileStore(tmp_path / "back")) == stored(files)


@pytest.mark.usefixtures("settings")
def test_what_is_stored_in_the_source_meanwhile_is_copied_too(
    files: FileStore, lake_store: LakeStore
) -> None:
    late = [content(FIRST, {"Ana": Usage(99, 0, 0, 0)}), content(FIRST - WINDOW, {"Luis": Usage(1, 1, 1, 1)})]

    def tell(operation: str, _: object) -> None:
        if late and operation == "south":
            with files.transaction() as con:
                replace_windows(agent_9(con, "north"), [late.pop(), late.pop()], run_id="late")

    copy(files, lake_store, tell)
    assert not late
    assert stored(lake_store) == stored(files)


@pytest.mark.usefixtures("settings")
def test_something_else_in_the_target_is_refused_and_other_operations_stay(
    files: FileStore, lake_store: LakeStore
) -> None:
    with lake_store.transaction() as con:
        replace_windows(agent_9(con, "north"), [content(FIRST, {"Eva": Usage(1, 1, 1, 1)})], run_id="else")
        sources.record(con, "north", HERE)
        replace_windows(agent_9(con, "west"), [content(FIRST, {"Eva": Usage(1, 1, 1, 1)})], run_id="west")
    before = stored(lake_store)
    with pytest.raises(
        StoreError, match=r"operation north: .* holds something else .* has 0 rows there and 28"
    ):
        copy(files, lake_store, lambda *_: None)
    assert stored(lake_store) == before

    with lake_store.transaction() as con:
        sources.drop(con, "north")
    copy(files, lake_store, lambda *_: None)
    assert query(lake_store, "SELECT operation, COUNT(*) FROM agent_9_windows GROUP BY 1 ORDER BY 1") == [
        ("north", 56),
        ("south", 56),
        ("west", 1),
    ]


@pytest.mark.usefixtures("settings")
def test_what_is_stored_in_the_target_just_before_it_begins_is_not_lost(
    files: FileStore, lake_store: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = lake_store.transaction

    def after_another() -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        monkeypatch.setattr(lake_store, "transaction", transaction)
        with transaction() as con:
            replace_windows(
                agent_9(con, "north"), [content(FIRST, {"Eva": Usage(1, 1, 1, 1)})], run_id="else"
            )
            sources.claim(con, "north", HERE)
        return transaction()

    monkeypatch.setattr(lake_store, "transaction", after_another)
    with pytest.raises(StoreError, match=r"operation north: .* holds something else"):
        copy(files, lake_store, lambda *_: None)
    assert query(lake_store, "SELECT agent_name FROM agent_9_windows") == [("Eva",)]


def test_without_a_lake_it_says_what_to_set() -> None:
    with pytest.raises(SystemExit, match="WOLKVOX_STORE and WOLKVOX_STORE_DATA are not set"):
        main(["copy", "--to", "lake"])
