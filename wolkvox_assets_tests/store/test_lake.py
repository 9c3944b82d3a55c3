"""The lake as a store: writers at once, the turn lost, snapshots, versions, what `doctor` says."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from pydantic import SecretStr

from wolkvox_assets.store import Store, StoreBusy, StoreError
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.lake import duck, turn
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.store import LakeStore, reader
from wolkvox_assets.store.lake.turn import asking
from wolkvox_assets.store.schema import tables_wanted
from wolkvox_assets.store.versions import VERSION
from wolkvox_assets_tests import lakes
from wolkvox_assets_tests.store.processes import BATCH, BATCHES, running, store_round, write_to_lake
from wolkvox_assets_tests.store.tables import query
from wolkvox_assets_tests.store.test_processes import rounds_by_batch


@pytest.fixture
def store(lake_store: LakeStore) -> LakeStore:
    return lake_store


@pytest.fixture
def nothing_yet(tmp_path: Path) -> Iterator[LakeStore]:
    """A lake of its own in which nothing was ever stored."""
    with lakes.new_lake(tmp_path) as lake:
        yield LakeStore(tmp_path / "data", lake)


def prove(store: Store, evidence: str) -> None:
    with store.transaction() as con:
        con.execute(
            "INSERT INTO additivity_proofs VALUES ('main', now()::TIMESTAMP, true, ?, 'r')", [evidence]
        )


def with_another(store: Store, evidence: str, in_between: Callable[[], object]) -> None:
    """As `prove`, with something that happens before the change counts."""
    with store.transaction() as con:
        con.execute(
            "INSERT INTO additivity_proofs VALUES ('main', now()::TIMESTAMP, true, ?, 'r')", [evidence]
        )
        in_between()


def proofs(store: Store) -> list[object]:
    """In the order in which they were stored."""
    return [row[0] for row in query(store, "SELECT evidence FROM additivity_proofs ORDER BY rowid")]


def address_of(store: LakeStore) -> str:
    return store.lake.postgres.get_secret_value()


# Writers


def test_many_writers_at_once_all_succeed_and_leave_what_one_would(store: LakeStore, tmp_path: Path) -> None:
    rounds, names = 3, ("a", "b", "c")
    before = store.holdings().files
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                running(
                    write_to_lake,
                    address_of(store),
                    store.lake.data,
                    name,
                    n * BATCH * BATCHES,
                    1,
                    rounds,
                )
            )
            for n, name in enumerate(names)
        ]
        for writer in writers:
            assert writer.hear().startswith("ready")
        for writer in writers:
            writer.tell()
        for writer in writers:
            assert writer.rest() == [f"stored {r}" for r in range(1, rounds + 1)]
            assert writer.code == 0
    for n, name in enumerate(names):
        found = rounds_by_batch(store, n * BATCH * BATCHES)
        assert set(found.values()) == {(name, rounds - back) for back in range(BATCHES)}
    assert store.holdings().files == before  # a live commit makes none


def test_what_a_killed_writer_committed_is_whole_and_its_turn_is_free(store: LakeStore) -> None:
    for n in range(2):
        with running(write_to_lake, address_of(store), store.lake.data, f"w{n}", 0, 1, 1000) as writer:
            writer.hear()
            writer.tell()
            writer.hear()
            time.sleep(random.random() * 0.3)
            writer.kill()
        before = time.monotonic()
        store_round(store, "after", 2000 + n)
        assert time.monotonic() - before < 10
        assert rounds_by_batch(store)


def test_threads_take_turns(store: LakeStore) -> None:
    threads = [threading.Thread(target=prove, args=(store, f"{n}")) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, proofs(store))) == [f"{n}" for n in range(6)]


def test_a_forked_process_has_connections_of_its_own(store: LakeStore) -> None:
    prove(store, "parent")
    child = os.fork()
    if not child:  # pragma: no cover  # coverage ends with the fork
        with suppress(BaseException):
            prove(store, "child")
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    prove(store, "parent again")
    assert proofs(store) == ["parent", "child", "parent again"]


def test_a_change_that_is_given_up_leaves_nothing(store: LakeStore) -> None:
    with pytest.raises(ZeroDivisionError):
        with_another(store, "gone", lambda: 1 // 0)
    assert proofs(store) == []
    prove(store, "kept")
    assert proofs(store) == ["kept"]


def test_somebody_who_keeps_the_turn_is_told_of(
    store: LakeStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(turn, "PATIENCE_SECONDS", 1.5)
    monkeypatch.setattr(turn, "SAY_SO_AFTER_SECONDS", 0.5)
    with asking(store.lake) as con, con.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [turn._KEY])
        with pytest.raises(StoreBusy, match="Nothing of this change was stored"):
            prove(store, "in vain")
    us = f"wolkvox-assets {socket.gethostname()} process {os.getpid()}"
    assert f"s so far: {us} has had it since 20" in caplog.text
    assert caplog.text.count("It goes on by itself") == 1
    prove(store, "in turn")
    assert proofs(store) == ["in turn"]


# The turn lost


@pytest.mark.parametrize("flushed", [False, True])
def test_of_two_that_have_the_turn_at_once_the_second_is_refused(
    flushed: bool, store: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(store, "before")
    if flushed:
        with duck.cursor(store.lake) as con:
            con.execute(f"CALL ducklake_flush_inlined_data('{duck.NAME}')")
            con.execute("COMMIT")

    def another() -> None:
        # As if Postgres had let go of the turn, and nobody had noticed yet.
        with monkeypatch.context() as patched:
            patched.setattr(turn, "_one_thread", threading.Lock())
            patched.setattr(turn, "_open", {})
            patched.setattr(turn, "_KEY", turn._KEY + 1)
            prove(store, "first")

    with pytest.raises(StoreError, match=r"out of turn.*Nothing of this change was stored; repeat"):
        with_another(store, "second", another)
    assert proofs(store) == ["before", "first"]
    prove(store, "third")
    assert proofs(store) == ["before", "first", "third"]


def test_a_turn_that_ends_in_mid_change_is_noticed_before_anything_counts(store: LakeStore) -> None:
    prove(store, "before")
    with pytest.raises(StoreError, match=r"broke.*Nothing of this change was stored"):
        with_another(store, "lost", lambda: end_sessions(store, "locktype = 'advisory' AND granted"))
    assert proofs(store) == ["before"]
    prove(store, "after")
    assert proofs(store) == ["before", "after"]


def test_a_postgres_that_cuts_all_off_is_found_again(store: LakeStore) -> None:
    prove(store, "before")
    end_sessions(store)
    assert proofs(store) == ["before"]
    end_sessions(store)
    prove(store, "after")
    with pytest.raises(StoreError, match="repeat the run"):
        with_another(store, "lost", lambda: end_sessions(store))
    assert proofs(store) == ["before", "after"]


def end_sessions(store: LakeStore, which: str = "true") -> None:
    with asking(store.lake) as con, con.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT pid FROM pg_locks JOIN pg_stat_activity USING (pid)"
            f" WHERE datname = current_database() AND {which} UNION"
            f" SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND {which == 'true'}) AS them"
            " WHERE pid <> pg_backend_pid()"
        )


# Readers


def test_a_reading_sees_one_snapshot_and_a_reading_within_it_the_same(store: LakeStore) -> None:
    prove(store, "one")
    with store.reading() as con:
        assert con is not None
        assert con.execute("SELECT COUNT(*) FROM additivity_proofs").fetchall() == [(1,)]
        writer = threading.Thread(target=prove, args=(store, "two"))
        writer.start()
        writer.join()
        with LakeStore(store.folder, store.lake).reading() as within:
            assert within is con
        assert con.execute("SELECT COUNT(*) FROM additivity_proofs").fetchall() == [(1,)]
    assert proofs(store) == ["one", "two"]


def test_what_is_stored_last_stays_last_whatever_becomes_of_the_files(store: LakeStore) -> None:
    for n in range(3):
        prove(store, f"{n}")
        with duck.cursor(store.lake) as con:
            con.execute(f"CALL ducklake_flush_inlined_data('{duck.NAME}')")
            con.execute("COMMIT")
    with store.transaction() as con:
        con.execute("DELETE FROM additivity_proofs WHERE evidence = '1'")
        con.execute("UPDATE additivity_proofs SET run_id = 'other' WHERE evidence = '0'")
    with duck.cursor(store.lake) as con:
        con.execute(f"CALL ducklake_rewrite_data_files('{duck.NAME}'); COMMIT; BEGIN")
        con.execute(f"CALL ducklake_merge_adjacent_files('{duck.NAME}')")
        con.execute("COMMIT")
    prove(store, "9")
    assert proofs(store) == ["0", "2", "9"]


def test_others_read_by_attach(store: LakeStore) -> None:
    prove(store, "one")
    with reader(store.lake) as con:
        assert con.execute("SELECT evidence FROM additivity_proofs").fetchall() == [("one",)]
        assert con.execute("SELECT COUNT(*) FROM days_not_complete").fetchall() == [(0,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            con.execute("DELETE FROM additivity_proofs")


# Beginning, versions


def test_before_the_first_change_there_is_nothing_and_nothing_is_made(nothing_yet: LakeStore) -> None:
    with nothing_yet.reading() as con:
        assert con is None
    with nothing_yet.looking() as con:
        assert con is None
    assert [fine for fine, *_ in nothing_yet.findings()] == [True, True, True]
    with asking(nothing_yet.lake) as question, question.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchall() == [(0,)]
    assert not Path(nothing_yet.lake.data).exists()


def test_its_tables_are_those_of_the_files_with_their_meanings(store: LakeStore, tmp_path: Path) -> None:
    files = FileStore(tmp_path / "files")
    for each in (files, store):
        prove(each, "one")
    ours = "database_name = current_database() AND schema_name = 'main'"
    columns = (
        f"SELECT table_name, column_name, data_type, NOT is_nullable, comment FROM duckdb_columns() WHERE {ours}"
        f" AND table_name NOT IN (SELECT view_name FROM duckdb_views() WHERE {ours}) ORDER BY ALL"
    )
    both = (
        f"SELECT table_name, comment FROM duckdb_tables() WHERE {ours} UNION ALL"
        f" SELECT view_name, comment FROM duckdb_views() WHERE {ours} ORDER BY ALL"
    )
    asked = (columns, both, "SELECT version FROM schema_version")
    assert [query(store, sql) for sql in asked] == [query(files, sql) for sql in asked]
    assert tables_wanted().keys() <= {row[0] for row in query(store, both)}


def test_an_older_lake_is_upgraded_by_the_first_who_needs_it(nothing_yet: LakeStore) -> None:
    prove(nothing_yet, "one")
    with duck.cursor(nothing_yet.lake) as con:
        con.execute(f"UPDATE schema_version SET version = {VERSION - 1}")
        con.execute("COMMIT")
    assert nothing_yet.version() == VERSION - 1
    with nothing_yet.looking() as con:
        assert con is None
    assert any(f"upgrades it to {VERSION}" in said for _, _, said in nothing_yet.findings())
    assert proofs(nothing_yet) == ["one"]
    assert nothing_yet.version() == VERSION


def test_a_newer_lake_is_refused_and_left_as_it_is(nothing_yet: LakeStore) -> None:
    prove(nothing_yet, "one")
    with duck.cursor(nothing_yet.lake) as con:
        con.execute(f"UPDATE schema_version SET version = {VERSION + 1}")
        con.execute("COMMIT")
    with pytest.raises(StoreError, match=r"newer release.*Nothing was changed"):
        prove(nothing_yet, "two")
    with pytest.raises(StoreError, match="newer release"), nothing_yet.reading():
        pass
    assert [fine for fine, *_ in nothing_yet.findings()][-1] is False


# What is said


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("host=127.0.0.1 port=1 user=postgres dbname=x password=se_kret", "nothing listens there"),
        ("postgresql://postgres:se_kret@127.0.0.1:1/x", "nothing listens there"),
        ("postgresql://postgres@127.0.0.1:5432/no_such_database?password=se_kret", "it has no such database"),
        ("postgresql://nobody:se_kret@127.0.0.1:5432/postgres", "it has no such role"),
    ],
)
def test_a_postgres_that_can_not_be_reached_is_told_without_its_password(
    address: str, what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LakeStore(tmp_path, Lake(SecretStr(address), str(tmp_path / "lake")))
    said = []
    for use in (store.transaction, store.reading):
        with pytest.raises(StoreError, match="Postgres can't be used") as caught, use():
            pass
        said.append(f"{caught.value!r} {caught.value.__cause__} {caught.value.__suppress_context__}")
        assert caught.value.__suppress_context__
    with pytest.raises(StoreError) as caught, reader(store.lake):
        pass
    with store.looking() as con:
        assert con is None
    said += [f"{caught.value!r}", *(words for _, _, words in store.findings()), caplog.text]
    assert f"can't be used: {what}" in said[-2]
    assert "se_kret" not in " ".join(said)


def test_data_elsewhere_than_set_is_refused(store: LakeStore, tmp_path: Path) -> None:
    prove(store, "one")
    elsewhere = LakeStore(store.folder, store.lake._replace(data=str(tmp_path / "elsewhere")))
    with pytest.raises(StoreError, match=r"not in .*elsewhere, where WOLKVOX_STORE_DATA says"):
        prove(elsewhere, "two")
    assert [fine for fine, *_ in elsewhere.findings()] == [True, True, False]


def test_a_folder_that_is_not_mounted_takes_nothing_in(store: LakeStore, tmp_path: Path) -> None:
    prove(store, "one")
    share, away = Path(store.lake.data), tmp_path / "away"
    before = query(store, "FROM additivity_proofs ORDER BY ALL")
    share.rename(away)
    try:
        share.mkdir()  # as the mount point is without the mount
        with pytest.raises(StoreError, match="Mount the folder that all machines share"):
            prove(store, "two")
        with pytest.raises(StoreError, match="Mount the folder"):
            store.maintain()
        assert [said for fine, _, said in store.findings() if not fine and "Mount the folder" in said]
        assert list(share.iterdir()) == []
        (share / "wolkvox_lake.txt").write_text("The data of another lake")
        with pytest.raises(StoreError, match="holds the data of another lake"):
            prove(store, "two")
    finally:
        shutil.rmtree(share)
        away.rename(share)
    assert query(store, "FROM additivity_proofs ORDER BY ALL") == before
    prove(store, "two")


def test_an_extension_of_another_version_is_said(store: LakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    duck.forget(store.lake)
    monkeypatch.setattr(duckdb, "__version__", "9.9.9")
    with pytest.raises(StoreError, match=r"DuckDB 9\.9\.9 needs .*pip install 'wolkvox-assets\[scale\]'"):
        prove(store, "one")


def test_temporary_files_of_two_processes_in_one_folder_are_never_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Lake(SecretStr("dbname=not_asked"), str(tmp_path / "lake"))
    with duck.bare(lake) as one, duck.bare(lake) as other:
        places: set[Path] = set()
        for con in (one, other):
            con.execute("SET memory_limit = '40MB'; SET threads = 1")
            con.execute("CREATE TABLE much AS SELECT random() AS x FROM range(8_000_000)")
            places.update(
                Path(path).parent
                for (path,) in con.execute("SELECT path FROM duckdb_temporary_files()").fetchall()
            )
        assert len(places) == 2
    assert not any(place.exists() for place in places)


def test_doctor_says_what_it_is_made_of(store: LakeStore) -> None:
    prove(store, "one")
    found = list(store.findings())
    assert all(fine for fine, *_ in found)
    assert "snapshots" in found[-1][2]


# A Postgres of one's own, with a password


class Server:
    """A Postgres that asks for a password, on a port of its own."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._data = binaries, folder / "postgres"
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # It refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        folder.mkdir(mode=0o755)
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        if self._user:
            shutil.chown(folder, self._user)
            shutil.chown(secret, self._user)
        self._run(
            "initdb", "-D", f"{self._data}", "-U", "keeper", "-A", "scram-sha-256", f"--pwfile={secret}", "-N"
        )

    def start(self) -> None:
        options = f"-p {self.port} -k {self._data} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", f"{self._data}", "-l", f"{self._data}.log", "-o", options)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", f"{self._data}")

    def _run(self, program: str, *arguments: str) -> None:
        command = [f"{self._binaries / program}", *arguments]
        subprocess.run(command, user=self._user, cwd="/", check=True, capture_output=True, timeout=60)


PASSWORD = "se kr'et"


@pytest.fixture
def server() -> Iterator[Server]:
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found += [Path(path).resolve() for path in [shutil.which("initdb")] if path]
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Postgres is installed here (initdb)")
    folder = Path(tempfile.mkdtemp(prefix="wolkvox-postgres-", dir="/tmp"))
    folder.chmod(0o755)  # another user has to get there
    try:
        server = Server(found[0].parent, folder / "server")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def test_a_postgres_that_asks_for_a_password_and_is_started_anew(server: Server, tmp_path: Path) -> None:
    address = f"postgresql://keeper:{quote(PASSWORD)}@127.0.0.1:{server.port}/postgres"
    lake = Lake(SecretStr(address), str(tmp_path / "lake"))
    store = LakeStore(tmp_path, lake)
    prove(store, "before")
    with reader(lake) as con, store.reading() as also:
        assert also is not None
        said = [repr(each.execute("FROM duckdb_databases()").fetchall()) for each in (con, also)]
        said += [repr(each.execute("FROM duckdb_secrets()").fetchall()) for each in (con, also)]
    with pytest.raises(StoreError) as caught:
        with_another(store, "lost", server.stop)
    said.append(repr(caught.value))
    with pytest.raises(StoreError, match="Postgres can't be used") as caught:
        prove(store, "in vain")
    said.append(repr(caught.value))
    server.start()
    prove(store, "after")
    assert proofs(store) == ["before", "after"]
    duck.forget(lake)
    assert not any(form in one for form in (PASSWORD, quote(PASSWORD)) for one in said)
