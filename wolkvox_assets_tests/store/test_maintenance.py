"""Cleaning the lake up changes no row and no order, keeps nobody waiting, and can be killed."""

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.store.errors import StoreError
from wolkvox_assets.store.lake import duck, maintenance, turn
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets.store.lake.turn import asking
from wolkvox_assets_tests import lakes
from wolkvox_assets_tests.store.tables import Row, query

# As live commits leave it: rows of several operations and months by turns, and some of them replaced.
_ROWS = """
    SELECT 'op' || n % 4, TIMESTAMP '2026-10-28' + to_hours(n) AS start, start, start::DATE, 'Ana', n, 1, 2, 3
    FROM range({}, {}) AS r(n)
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeStore]:
    """Of this module."""
    folder = tmp_path_factory.mktemp("maintained")
    with lakes.new_lake(folder) as lake:
        yield LakeStore(folder, lake)


def put(store: LakeStore, first: int, last: int) -> None:
    with store.transaction() as con:
        con.execute(f"INSERT INTO agent_9_windows {_ROWS.format(first, last)}")
        con.execute("INSERT INTO quota_readings VALUES ('op1', '2026-10-01', 1000, ?, 'run')", [first])
    with store.transaction() as con:
        con.execute("DELETE FROM agent_9_windows WHERE hold_mute_count % 5 = 0")


def rows(store: LakeStore) -> list[list[Row]]:
    return [
        query(store, "SELECT rowid, * FROM agent_9_windows ORDER BY rowid"),
        query(store, "SELECT rowid, * FROM quota_readings ORDER BY rowid"),
    ]


@pytest.fixture
def nothing_yet(tmp_path: Path) -> Iterator[LakeStore]:
    with lakes.new_lake(tmp_path) as lake:
        yield LakeStore(tmp_path, lake)


def test_nothing_is_another_and_readers_keep_what_they_see(nothing_yet: LakeStore) -> None:
    lake = nothing_yet
    put(lake, 0, 400)
    before = rows(lake)
    assert len(before[0]) == 320
    reader = duck.attached(lake.lake, read_only=True)
    try:
        reader.execute("BEGIN")
        seen = reader.execute("FROM agent_9_windows ORDER BY ALL").fetchall()
        done = lake.maintain()
        assert (done.left, done.flushed_rows) == ([], 321)
        assert rows(lake) == before
        for first in (400, 500):
            put(lake, first, first + 100)
            before = rows(lake)
            assert not lake.maintain().left
            assert rows(lake) == before
        assert reader.execute("FROM agent_9_windows ORDER BY ALL").fetchall() == seen
    finally:
        reader.close()
    held = lake.holdings()
    # Four operations in two months, and one file of the readings; the fence is in the catalog.
    assert (held.snapshots, held.files, held.inlined_rows) == (1, 9, 1)


@pytest.mark.parametrize("mode", [0o750, 0o2770], ids=["one user", "a group"])
def test_who_may_write_in_the_folder_may_write_in_all_below(mode: int, nothing_yet: LakeStore) -> None:
    """DuckDB's folders are only their owner's to write in."""
    top = Path(nothing_yet.lake.data)
    top.mkdir(mode=0o700)
    top.chmod(mode)

    def is_shared() -> bool:
        below = [path for path in top.rglob("*") if path.is_dir()]
        assert below
        return {stat.S_IMODE(path.stat().st_mode) for path in below} == {mode}

    shared = mode == 0o2770
    with nothing_yet.transaction() as con:
        con.execute(f"INSERT INTO agent_9_windows {_ROWS.format(0, 1200)}")
    assert is_shared() == shared
    put(nothing_yet, 2000, 2100)
    assert is_shared() == shared
    nothing_yet.maintain()
    assert is_shared() == shared
    nothing_yet.change(lambda con: con.execute(f"INSERT INTO agent_9_windows {_ROWS.format(9000, 10200)}"))
    assert is_shared() == shared
    next(top.glob("main/*/*")).chmod(0o755)  # as somebody leaves it who is killed
    nothing_yet.maintain()
    assert is_shared() == shared


def test_a_share_that_takes_no_modes_makes_nothing_fail(
    nothing_yet: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    top = Path(nothing_yet.lake.data)
    top.mkdir()
    top.chmod(0o2770)
    monkeypatch.setattr(Path, "chmod", refused)
    put(nothing_yet, 0, 5)
    nothing_yet.change(lambda con: con.execute(f"INSERT INTO agent_9_windows {_ROWS.format(6, 7)}"))
    nothing_yet.maintain()
    assert query(nothing_yet, "SELECT COUNT(*) FROM agent_9_windows") == [(5,)]


def test_each_table_has_statistics_before_it_has_a_row(nothing_yet: LakeStore) -> None:
    """Without them each query asks the catalog once more for each column."""
    with nothing_yet.transaction():
        pass
    assert without_statistics(nothing_yet) == []
    with asking(nothing_yet.lake) as con:  # as an older release left it
        con.cursor().execute(
            "DELETE FROM ducklake_table_stats USING ducklake_table AS t"
            " WHERE t.table_id = ducklake_table_stats.table_id"
            " AND table_name IN ('quota_readings', 'agent_9_windows');"
            "DELETE FROM ducklake_table_column_stats WHERE table_id NOT IN (SELECT table_id FROM ducklake_table_stats)"
        )
        con.commit()
    assert without_statistics(nothing_yet) == ["agent_9_windows", "quota_readings"]
    assert not nothing_yet.maintain().left
    assert without_statistics(nothing_yet) == []
    assert rows(nothing_yet) == [[], []]
    put(nothing_yet, 0, 100)
    assert [len(each) for each in rows(nothing_yet)] == [80, 1]


def without_statistics(store: LakeStore) -> list[str]:
    with asking(store.lake) as con, con.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM ducklake_table WHERE end_snapshot IS NULL"
            " AND table_id NOT IN (SELECT table_id FROM ducklake_table_stats) ORDER BY table_name"
        )
        return [name for (name,) in cursor.fetchall()]


def test_what_would_change_a_row_is_not_done(lake: LakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = maintenance._flush

    def faulty(con: duckdb.DuckDBPyConnection, table: str) -> int:
        count = flush(con, table)
        con.execute(f"DELETE FROM {table} WHERE rowid = (SELECT MIN(rowid) FROM {table})")
        return count

    put(lake, 1000, 1100)
    before = rows(lake)
    with monkeypatch.context() as patched:
        patched.setattr(maintenance, "_flush", faulty)
        (left,) = (one for one in lake.maintain().left if one.startswith("agent_9_windows"))
    assert "would have changed what stands in it" in left
    assert rows(lake) == before
    assert not lake.maintain().left
    assert rows(lake) == before


def test_a_catalog_in_use_holds_nobody_up(lake: LakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "_READER_PATIENCE_SECONDS", 1)
    put(lake, 1200, 1300)
    before = rows(lake)
    with asking(lake.lake) as con, con.cursor() as cursor:
        cursor.execute("SELECT table_name FROM ducklake_inlined_data_tables")
        for (table,) in cursor.fetchall():
            cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
        (left,) = lake.maintain().left
    assert "somebody has a table of the catalog in use" in left
    assert rows(lake) == before


def test_who_has_lost_the_turn_is_refused_also_after_a_cleaning(
    lake: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would tell of the other one's change, its snapshot, is no longer there."""
    put(lake, 1400, 1500)
    assert not lake.maintain().left
    put(lake, 1500, 1600)
    done, after = [], []

    def loses_the_turn() -> None:
        with lake.transaction() as con:
            con.execute("INSERT INTO quota_readings VALUES ('op1', '2026-10-01', 1000, 1, 'lost')")
            with monkeypatch.context() as patched:
                patched.setattr(turn, "_one_thread", threading.Lock())
                patched.setattr(turn, "_open", {})
                patched.setattr(turn, "_KEY", turn._KEY + 1)
                put(lake, 1600, 1700)
                done.append(lake.maintain())
                after.append(rows(lake))

    with pytest.raises(StoreError, match="Nothing of this change was stored"):
        loses_the_turn()
    assert (done[0].left, done[0].files_written > 0) == ([], True)
    assert [rows(lake)] == after


def test_killed_at_any_moment_nothing_is_lost(lake: LakeStore, tmp_path: Path) -> None:
    address = lake.lake.postgres.get_secret_value()
    program = (
        "from pathlib import Path\n"
        "from pydantic import SecretStr\n"
        "from wolkvox_assets.store.lake import maintenance\n"
        "from wolkvox_assets.store.lake.place import Lake\n"
        "from wolkvox_assets.store.lake.store import LakeStore\n"
        "flush = maintenance._flush\n"
        "maintenance._flush = lambda *which: print('begins', flush=True) or flush(*which)\n"
        f"LakeStore(Path({str(tmp_path)!r}), Lake(SecretStr({address!r}), {lake.lake.data!r})).maintain()\n"
    )
    # In the flush of a table, or between it and its commit.
    for number, flushes in enumerate((1, 2)):
        put(lake, 2000 + 100 * number, 2100 + 100 * number)
        before = rows(lake)
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(flushes):
                assert process.stdout.readline() == b"begins\n"
            time.sleep(0.03)
            process.kill()
        assert rows(lake) == before
    assert not lake.maintain().left
    assert rows(lake) == before
