"""The two files: what a transaction leaves behind, and what others who have them open see and break."""

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import pytest

from wolkvox_assets.report.measures import Usage
from wolkvox_assets.store import StoreBusy, StoreError, StoreFull, files
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.store.processes import hold_lock, keep_open, running
from wolkvox_assets_tests.store.tables import agent_9, content, query, replace_windows, tables, window

COUNT = "SELECT MAX(hold_mute_count) FROM agent_9_windows"


def put(store: FileStore, count: int) -> None:
    """Window 0, with this count."""
    with store.transaction() as con:
        replace_windows(agent_9(con), [content(window(0), {"Ana": Usage(count, 1, 1, 2)})], run_id="run")


def read(store: FileStore) -> int:
    with store.reading() as con:
        assert con is not None
        ((count,),) = con.execute(COUNT).fetchall()
    return int(count)


# One transaction


def test_before_the_first_change_there_is_nothing_to_read(store: FileStore, data_dir: Path) -> None:
    with store.reading() as con:
        assert con is None
    assert not data_dir.exists()


def test_what_is_published_is_what_is_stored(store: FileStore, data_dir: Path) -> None:
    for count in range(1, 5):
        put(store, count)
        assert query(store.published, COUNT) == [(count,)]
        assert tables(store.published) == tables(data_dir / "store.duckdb")
        assert not list(data_dir.glob("*.wal"))
        assert not list(data_dir.glob(".*"))


@pytest.mark.parametrize("error", [ValueError("a fault of ours"), KeyboardInterrupt()])
def test_an_exception_inside_rolls_everything_back(
    store: FileStore, data_dir: Path, error: BaseException
) -> None:
    put(store, 1)
    before = tables(store.published)

    def failing_change() -> None:
        with store.transaction() as con:
            replace_windows(agent_9(con), [content(window(0)), content(window(1))], run_id="run")
            con.execute("DELETE FROM agent_9_window_log")
            raise error

    with pytest.raises(type(error)) as caught:
        failing_change()
    assert caught.value is error
    assert tables(store.published) == tables(data_dir / "store.duckdb") == before
    put(store, 2)  # and nothing stayed locked
    assert query(store.published, COUNT) == [(2,)]


def test_an_exception_in_the_very_first_change_publishes_nothing(store: FileStore) -> None:
    with pytest.raises(ValueError, match="ours"), store.transaction():
        raise ValueError("ours")
    assert not store.published.exists()
    put(store, 1)
    assert query(store.published, COUNT) == [(1,)]


def test_an_error_of_duckdb_is_explained_and_rolls_everything_back(store: FileStore, data_dir: Path) -> None:
    put(store, 1)
    before = tables(store.published)
    changes = "DELETE FROM agent_9_windows; INSERT INTO agent_9_window_log (operation) VALUES (NULL)"
    with pytest.raises(StoreError, match=re.escape(str(data_dir))) as caught, store.transaction() as con:
        con.execute(changes)
    assert not isinstance(caught.value, StoreBusy | StoreFull)
    assert "intact" in str(caught.value)
    assert isinstance(caught.value.__cause__, duckdb.ConstraintException)
    assert tables(store.published) == before


def test_the_rows_of_a_reader_cannot_be_changed(store: FileStore) -> None:
    put(store, 1)
    with store.reading() as con:
        assert con is not None
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            con.execute("DELETE FROM agent_9_windows")


def test_a_reading_within_a_reading_opens_nothing_and_misses_nothing(store: FileStore) -> None:
    put(store, 1)
    with store.reading() as con:
        assert con is not None
        with store.reading() as within:
            assert within is not None
            opened = "SELECT database_oid FROM duckdb_databases() WHERE path IS NOT NULL"
            assert within.execute(opened).fetchall() == con.execute(opened).fetchall()
        assert con.execute(COUNT).fetchall() == [(1,)]
        put(store, 2)
        assert read(store) == 2
        assert con.execute(COUNT).fetchall() == [(1,)]


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(StoreError, match=re.escape(str(in_the_way / "data"))):
        put(FileStore(in_the_way / "data"), 1)


def test_a_store_that_is_no_duckdb_file_is_explained_and_kept(store: FileStore, data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    (data_dir / "store.duckdb").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreError, match=r"store\.duckdb"):
        put(store, 1)
    assert (data_dir / "store.duckdb").read_bytes() == b"something else" * 1000


def test_a_lost_published_file_comes_back(store: FileStore) -> None:
    put(store, 1)
    store.published.unlink()
    assert read(store) == 1
    assert query(store.published, COUNT) == [(1,)]


# Readers of the published file


def test_a_reader_keeps_the_old_content_and_the_next_one_sees_the_new(store: FileStore) -> None:
    put(store, 1)
    with running(keep_open, store.published, True, "") as reader:
        assert reader.hear() == "open"
        for count in (2, 3):
            put(store, count)
            assert reader.ask(COUNT) == "[(1,)]"
            assert query(store.published, COUNT) == [(count,)]
            assert read(store) == count
        reader.end()


def test_a_reader_does_not_slow_the_writers(store: FileStore) -> None:
    put(store, 0)

    def some_changes() -> float:
        began = time.perf_counter()
        for count in range(1, 6):
            put(store, count)
        return time.perf_counter() - began

    alone = some_changes()
    with running(keep_open, store.published, True, "") as reader:
        assert reader.hear() == "open"
        beside = some_changes()
        assert reader.ask(COUNT) == "[(5,)]"  # it was there all the time: it sees what stood there then
    # Waiting for the reader would take the whole of our patience, 30 s and more for each change.
    assert beside < 3 * alone + 3


def test_a_log_left_beside_the_published_file_does_not_break_the_next_one(store: FileStore) -> None:
    put(store, 1)
    with running(keep_open, store.published, False, "CREATE TABLE mine AS SELECT 42 AS x") as stranger:
        assert stranger.hear() == "open"
        stranger.kill()
    wal = store.published.with_name("wolkvox.duckdb.wal")
    assert wal.exists()
    put(store, 2)
    assert not wal.exists()
    assert query(store.published, COUNT) == [(2,)]
    assert query(
        store.published, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'mine'"
    ) == [(0,)]


def test_somebody_who_has_the_published_file_open_for_writing_holds_nobody_up(store: FileStore) -> None:
    put(store, 1)
    with running(keep_open, store.published, False, "CREATE TABLE mine AS SELECT 42 AS x") as stranger:
        assert stranger.hear() == "open"
        began = time.perf_counter()
        assert read(store) == 1  # DuckDB itself turns a second one away
        put(store, 2)
        assert time.perf_counter() - began < 5
        assert stranger.ask("FROM mine") == "[(42,)]"
        assert query(store.published, COUNT) == [(2,)]
        # What the stranger writes now gets a log with the name of the new file's: it must not stop us.
        assert stranger.ask("INSERT INTO mine VALUES (43)") == "[(1,)]"
        assert read(store) == 2
        stranger.end()
    assert read(store) == 2
    assert query(store.published, COUNT) == [(2,)]


# Somebody else in the store itself


def test_a_stranger_in_the_store_is_named_after_a_while(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, 1)
    monkeypatch.setattr(files, "_OPEN_PATIENCE_SECONDS", 0.2)
    with running(keep_open, data_dir / "store.duckdb", True, "") as stranger:
        assert stranger.hear() == "open"
        with pytest.raises(StoreBusy) as caught:
            put(store, 2)
        message = str(caught.value)
        assert str(data_dir / "store.duckdb") in message
        assert str(store.published) in message  # what to read instead
        assert str(stranger.pid) in message
        assert read(store) == 1  # what is published can be read all the same
        stranger.end()
    put(store, 2)
    assert query(store.published, COUNT) == [(2,)]


def test_a_stranger_who_leaves_soon_is_waited_for(store: FileStore, data_dir: Path) -> None:
    put(store, 1)
    with running(keep_open, data_dir / "store.duckdb", False, "") as stranger:
        assert stranger.hear() == "open"
        stranger.tell("SELECT SLEEP_MS(300)")
        stranger.tell_no_more()  # and then it ends
        put(store, 2)
    assert query(store.published, COUNT) == [(2,)]


def test_a_writer_that_hangs_is_named_after_a_while(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, 1)
    monkeypatch.setattr(files, "_LOCK_PATIENCE_SECONDS", 0.2)
    with running(hold_lock, data_dir / "store.duckdb.lock") as other:
        assert other.hear() == "held"
        with pytest.raises(StoreBusy, match=re.escape(str(data_dir / "store.duckdb.lock"))):
            put(store, 2)
        assert read(store) == 1  # nothing to correct: no turn is needed
        other.kill()
    put(store, 2)  # the lock of a killed process does not block
    assert query(store.published, COUNT) == [(2,)]


def test_a_thread_that_reads_does_not_make_another_read_what_was_replaced(store: FileStore) -> None:
    """DuckDB hands a process that has a file open the same one again, whatever lies at its path by then."""
    put(store, 1)
    with ThreadPoolExecutor(1) as other:
        with store.reading() as con:
            assert con is not None
            put(store, 2)
            later = other.submit(read, store)
            time.sleep(0.2)  # time enough to read the old one
            assert con.execute(COUNT).fetchall() == [(1,)]
        assert later.result(10) == 2


# Stopped


@pytest.mark.parametrize("how", ["transaction", "reading", "looking"])
def test_who_stops_a_run_in_a_query_is_heard_and_nothing_is_stored(store: FileStore, how: str) -> None:
    """Dagster's handler raises from the signal; DuckDB would make a failure of it."""

    class Interrupted(BaseException):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    def count_for_long() -> None:
        with opened as con:
            assert con is not None
            if how == "transaction":
                con.execute("DELETE FROM agent_9_windows")
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            con.execute("SELECT COUNT(*) FROM range(1000000) a, range(40) b WHERE a.range * b.range % 7 = 3")

    put(store, 1)
    opened: AbstractContextManager[duckdb.DuckDBPyConnection | None] = getattr(store, how)()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Interrupted):
            count_for_long()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert read(store) == 1
