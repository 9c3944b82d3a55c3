"""Files that can't be trusted: damaged, removed, altered, of another version. Real files throughout."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.store import Store, StoreError, examine
from wolkvox_assets.store.agent_9 import replace_windows
from wolkvox_assets.store.integrity import VERSION
from wolkvox_assets.usage import Usage
from wolkvox_assets_tests.store import version_1
from wolkvox_assets_tests.store.tables import content, query, tables, window

HEADERS, BLOCK = 3 * 4096, 262144


@pytest.fixture
def filled(store: Store) -> Store:
    put(store, 1)
    return store


def put(store: Store, count: int) -> None:
    with store.transaction() as con:
        replace_windows(
            con,
            "main",
            [
                content(window(n), {f"Ana {a}": Usage(count, a, 1, a + 1) for a in range(40)})
                for n in range(50)
            ],
            run_id="run",
        )


def counts(store: Store) -> list[tuple[object, ...]]:
    with store.reading() as con:
        assert con is not None
        return con.execute("SELECT DISTINCT hold_mute_count FROM agent_9_windows").fetchall()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    os.truncate(file, HEADERS + BLOCK)


def flip_in_every_block(file: Path) -> None:
    data = bytearray(file.read_bytes())
    for start in range(HEADERS, len(data), BLOCK):
        data[start + 100] ^= 1
    file.write_bytes(data)


def put_another_in_place(file: Path) -> None:
    file.unlink()
    with duckdb.connect(file) as con:
        con.execute("CREATE TABLE mine AS SELECT 42 AS x")


def drop_a_table(file: Path) -> None:
    with duckdb.connect(file) as con:
        con.execute("DROP TABLE agent_9_corrections")


def drop_a_column(file: Path) -> None:
    with duckdb.connect(file) as con:
        con.execute("ALTER TABLE agent_9_window_log DROP COLUMN run_id")


Harm = Callable[[Path], None]
HARMS: list[Harm] = [
    *(empty, cut, flip_in_every_block, put_another_in_place, drop_a_table, drop_a_column, Path.unlink)
]


def fingerprints(folder: Path) -> dict[str, tuple[str, int, int]]:
    return {
        path.name: (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in folder.iterdir()
    }


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("how", ["read", "write"])
def test_a_damaged_store_is_restored_and_kept(
    harm: Harm, how: str, filled: Store, caplog: pytest.LogCaptureFixture
) -> None:
    before = tables(filled.published)
    harm(filled.own)
    there = filled.own.read_bytes() if filled.own.exists() else None
    assert any(not fine for fine, _, _ in examine.findings(filled))
    if how == "read":
        assert counts(filled) == [(1,)]
    else:
        with filled.transaction():
            pass
    assert tables(filled.own) == tables(filled.published) == before
    kept = list(filled.folder.glob("store.duckdb.damaged-*"))
    assert [path.read_bytes() for path in kept] == ([] if there is None else [there])
    assert "was restored from wolkvox.duckdb" in caplog.text
    put(filled, 2)
    assert counts(filled) == [(2,)]


@pytest.mark.parametrize("harm", HARMS)
def test_an_altered_published_file_is_replaced_at_once(harm: Harm, filled: Store) -> None:
    before = tables(filled.own)
    harm(filled.published)
    assert counts(filled) == [(1,)]
    assert tables(filled.own) == tables(filled.published) == before
    assert not list(filled.folder.glob("*damaged*"))


# Not `drop_a_table`: without a good copy, a table that is gone can't be told from one that a release adds.
@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm is not drop_a_table])
@pytest.mark.parametrize("other", [empty, cut, put_another_in_place])
def test_if_both_are_bad_nothing_is_overwritten(harm: Harm, other: Harm, filled: Store) -> None:
    harm(filled.own)
    time.sleep(0.02)  # a clock tick of the file system: not even two cuts fall into the same moment
    other(filled.published)
    before = fingerprints(filled.folder)
    for attempt in (lambda: put(filled, 2), lambda: counts(filled)):
        with pytest.raises(StoreError, match="Nothing was overwritten"):
            attempt()
    assert any(not fine for fine, _, _ in examine.findings(filled))
    assert fingerprints(filled.folder) == before


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["store.duckdb", "wolkvox.duckdb"])
def test_doctor_changes_nothing(harm: Harm, name: str, filled: Store) -> None:
    harm(filled.folder / name)
    before = fingerprints(filled.folder)
    assert any(not fine for fine, _, _ in examine.findings(filled))
    with filled.looking():
        pass
    assert fingerprints(filled.folder) == before


@pytest.mark.parametrize("name", ["store.duckdb", "wolkvox.duckdb"])
def test_a_newer_version_is_refused_untouched(name: str, filled: Store) -> None:
    with duckdb.connect(filled.folder / name) as con:
        con.execute("INSERT INTO schema_version VALUES (99, now()::TIMESTAMP, 'later')")
    before = fingerprints(filled.folder)
    for attempt in (lambda: put(filled, 2), lambda: counts(filled)):
        with pytest.raises(StoreError, match="version 99"):
            attempt()
    assert fingerprints(filled.folder) == before


@pytest.mark.parametrize("storage_version", version_1.STORAGE_VERSIONS)
@pytest.mark.parametrize("how", ["read", "write"])
def test_a_store_of_before_is_upgraded_with_its_data(
    how: str, storage_version: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    version_1.make(store, storage_version)
    before = version_1.rows_of(store.own)
    assert all(before.values())
    old = store.own.read_bytes()
    if how == "read":
        assert len(counts(store)) == 200
    else:
        with store.transaction():
            pass
    assert version_1.rows_of(store.own) == version_1.rows_of(store.published) == before
    for file in (store.own, store.published):
        assert query(file, "SELECT version FROM schema_version") == [(VERSION,)]
        ((tags,),) = query(file, "SELECT tags FROM duckdb_databases() WHERE NOT internal")
        assert isinstance(tags, dict)
        assert tags["storage_version"].startswith("v1.2.0")
    assert (store.folder / "store.duckdb.v1-backup").read_bytes() == old
    assert caplog.text.count("was upgraded from version 1 to 2") == 1
    with store.transaction():
        pass
    assert caplog.text.count("was upgraded") == 1
    assert {path.name for path in store.folder.iterdir()} == {
        *("store.duckdb", "store.duckdb.lock", "wolkvox.duckdb", "store.duckdb.v1-backup")
    }
