"""Files that can't be trusted: damaged, removed, altered, of another version. Real files throughout."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store import StoreError, examine, files, integrity, replacing
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.integrity import Contents, inspect
from wolkvox_assets.store.schema import schema
from wolkvox_assets.store.versions import VERSION
from wolkvox_assets_tests.store import version_1
from wolkvox_assets_tests.store.processes import keep_open, running
from wolkvox_assets_tests.store.tables import agent_9, content, query, replace_windows, tables, window

HEADERS, BLOCK = 3 * 4096, 262144


@pytest.fixture
def filled(store: FileStore) -> FileStore:
    put(store, 1)
    return store


def put(store: FileStore, count: int) -> None:
    with store.transaction() as con:
        replace_windows(
            agent_9(con),
            [
                content(window(n), {f"Ana {a}": Usage(count, a, 1, a + 1) for a in range(40)})
                for n in range(50)
            ],
            run_id="run",
        )


def counts(store: FileStore) -> list[tuple[object, ...]]:
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
    harm: Harm, how: str, filled: FileStore, caplog: pytest.LogCaptureFixture
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
def test_an_altered_published_file_is_replaced_at_once(harm: Harm, filled: FileStore) -> None:
    before = tables(filled.own)
    harm(filled.published)
    assert counts(filled) == [(1,)]
    assert tables(filled.own) == tables(filled.published) == before
    assert not list(filled.folder.glob("*damaged*"))


# Not `drop_a_table`: without a good copy, a table that is gone can't be told from one that a release adds.
@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm is not drop_a_table])
@pytest.mark.parametrize("other", [empty, cut, put_another_in_place])
def test_if_both_are_bad_nothing_is_overwritten(harm: Harm, other: Harm, filled: FileStore) -> None:
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
def test_doctor_changes_nothing(harm: Harm, name: str, filled: FileStore) -> None:
    harm(filled.folder / name)
    before = fingerprints(filled.folder)
    assert any(not fine for fine, _, _ in examine.findings(filled))
    with filled.looking():
        pass
    assert fingerprints(filled.folder) == before


@pytest.mark.parametrize("name", ["store.duckdb", "wolkvox.duckdb"])
def test_a_newer_version_is_refused_untouched(name: str, filled: FileStore) -> None:
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
    how: str, storage_version: str, store: FileStore, caplog: pytest.LogCaptureFixture
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
    assert caplog.text.count(f"was upgraded from version 1 to {VERSION}") == 1
    with store.transaction():
        pass
    assert caplog.text.count("was upgraded") == 1
    assert {path.name for path in store.folder.iterdir()} == {
        *(
            "store.duckdb",
            "store.duckdb.lock",
            "store.duckdb.origin",
            "wolkvox.duckdb",
            "store.duckdb.v1-backup",
        )
    }


def test_bodies_of_before_are_compressed_once(store: FileStore) -> None:
    store.folder.mkdir(parents=True)
    with duckdb.connect(store.own, config=replacing.CONFIG) as con:
        con.execute(schema().replace(" USING COMPRESSION zstd", ""))
        con.execute("INSERT INTO schema_version VALUES (2, now()::TIMESTAMP, 'before')")
        con.execute(
            "INSERT INTO api_requests BY NAME SELECT 'main' AS operation, now()::TIMESTAMP AS requested_at,"
            " 'agent_9' AS api, 0.1 AS seconds, 'r' AS run_id,"
            " repeat('{\"agent_name\": \"' || i || sha256(i::VARCHAR) || '\"}', 9) AS body FROM range(20000) r(i)"
        )
    before, size = tables(store.own), store.own.stat().st_size
    for _ in range(2):
        with store.transaction():
            pass
    for file in (store.own, store.published):
        assert tables(file) == before
        assert file.stat().st_size < 0.7 * size
        assert query(
            file,
            "SELECT DISTINCT compression FROM pragma_storage_info('api_requests') WHERE column_name = 'body'"
            " AND segment_type = 'VARCHAR'",
        ) == [("ZSTD",)]
    assert [path.name for path in store.folder.glob("*backup*")] == ["store.duckdb.v2-backup"]
    assert query(store.own, "SELECT version FROM schema_version ORDER BY ALL") == [(2,), (VERSION,)]


# What this process has looked at and left is not looked at again, unless anybody else may have been there.


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are looked at as a whole before a change."""
    found: list[str] = []

    def heard(file: Path) -> Contents:
        found.append(file.name)
        return inspect(file)

    monkeypatch.setattr(files, "inspect", heard)
    return found


@pytest.fixture
def fine_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the file system, as far as these tests go: a small store is published within a tick."""
    monkeypatch.setattr(integrity, "_TICK_NS", 0)


@pytest.mark.usefixtures("fine_clock")
def test_what_this_process_left_is_not_looked_at_again(filled: FileStore, looks: list[str]) -> None:
    for count_ in (2, 3):
        put(FileStore(filled.folder), count_)  # nor by another object for the same files
    assert looks == []
    (filled.folder / "wolkvox.duckdb").write_bytes(b"")
    assert counts(filled) == [(3,)]
    assert looks == []


@pytest.mark.usefixtures("fine_clock")
def test_it_is_looked_at_again_after_any_failure(filled: FileStore, looks: list[str]) -> None:
    def fail() -> None:
        with filled.transaction():
            raise ValueError("ours")

    def fail_to_publish() -> None:
        filled.published.unlink()
        filled.published.mkdir()
        with pytest.raises(StoreError, match="is a folder"):
            put(filled, 2)
        filled.published.rmdir()

    with pytest.raises(ValueError, match="ours"):
        fail()
    put(filled, 2)
    assert looks == ["store.duckdb"]
    fail_to_publish()
    put(filled, 3)
    assert looks == ["store.duckdb"] * 2


def test_it_is_looked_at_again_where_the_clock_could_not_show_a_write(
    filled: FileStore, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "_TICK_NS", 3600 * 10**9)
    put(filled, 2)
    put(filled, 3)
    assert looks[-1:] == ["store.duckdb"]


def overwrite_in_place(file: Path) -> None:
    """As large as before, and with the times of before."""
    before = file.stat()
    flip_in_every_block(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def put_a_copy_back(file: Path) -> None:
    copy = Path(shutil.copy2(file, file.with_name("copy")))
    flip_in_every_block(copy)
    os.utime(copy, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    copy.replace(file)


@pytest.mark.usefixtures("fine_clock")
@pytest.mark.parametrize("harm", [overwrite_in_place, put_a_copy_back, drop_a_column])
def test_what_somebody_else_did_to_it_is_seen(harm: Harm, filled: FileStore) -> None:
    harm(filled.own)
    put(filled, 2)
    assert counts(filled) == [(2,)]
    assert len(list(filled.folder.glob("store.duckdb.damaged-*"))) == 1


@pytest.mark.usefixtures("fine_clock")
def test_what_another_process_stored_is_seen(filled: FileStore, looks: list[str]) -> None:
    with running(keep_open, filled.own, False, "UPDATE agent_9_windows SET hold_mute_count = 7") as other:
        assert other.hear() == "open"
        other.kill()  # with its change in the log
    with filled.transaction():
        pass
    assert looks == ["store.duckdb"]
    assert counts(filled) == [(7,)]


# Readers


def test_two_files_cut_alike_within_a_tick_are_seen_before_a_query(filled: FileStore) -> None:
    for file in (filled.own, filled.published):
        os.truncate(file, file.stat().st_size - 1)
        os.utime(file, ns=(10**18, 10**18))
    assert filled.in_step()
    with pytest.raises(StoreError, match="Nothing was overwritten"), filled.reading():
        pass


def rename_a_table(file: Path) -> None:
    with duckdb.connect(file) as con:
        con.execute("ALTER TABLE agent_9_windows RENAME TO mine")


def put_a_text_in_place(file: Path) -> None:
    file.write_text("not a database\n" * 5000)


def put_a_folder_in_place(file: Path) -> None:
    file.unlink()
    file.mkdir()


def leave_a_log(file: Path) -> None:
    file.with_name(file.name + ".wal").write_bytes(b"no log" * 100)


@pytest.mark.parametrize("harm", [rename_a_table, put_a_text_in_place, put_a_folder_in_place, leave_a_log])
def test_other_harm_to_the_store(harm: Harm, filled: FileStore) -> None:
    before = tables(filled.published)
    harm(filled.own)
    assert any(not fine for fine, _, _ in examine.findings(filled))
    assert counts(filled) == [(1,)]
    assert tables(filled.own) == tables(filled.published) == before
    put(filled, 2)
    assert all(fine for fine, _, _ in examine.findings(filled))


@pytest.mark.parametrize("harm", [rename_a_table, put_a_text_in_place, leave_a_log])
def test_other_harm_to_the_published_file(harm: Harm, filled: FileStore) -> None:
    before = tables(filled.published)
    harm(filled.published)
    assert any(not fine for fine, _, _ in examine.findings(filled))
    assert counts(filled) == [(1,)]
    assert tables(filled.own) == tables(filled.published) == before
    assert not list(filled.folder.glob("*.wal"))


def test_the_published_file_of_another_machine_becomes_the_store(filled: FileStore, tmp_path: Path) -> None:
    other = FileStore(tmp_path / "other")
    put(other, 5)
    filled.published.unlink()  # or what is published here goes before what somebody put there
    shutil.copy2(other.published, filled.own)
    assert counts(filled) == [(5,)]
    assert tables(filled.own) == tables(other.own)
    assert filled.own.stat().st_mode & 0o777 == 0o600
