"""A lake whose Postgres goes away in the middle: a change is made once it is back, and counts once; a reading begins
once it is back, and in the middle of one it is an error, and no more."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import cast

import duckdb
import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn
from pydantic import SecretStr

from wolkvox_assets.store.errors import StoreError
from wolkvox_assets.store.lake import duck
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets.store.lake.turn import asking
from wolkvox_assets_tests.postgres import Cluster
from wolkvox_assets_tests.store.late_commits import LateCommits

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


@pytest.mark.long
def test_a_change_is_made_once_whatever_connection_breaks_and_when(lake: LakeStore) -> None:
    """At random moments: in mid-statement, in mid-commit, between two."""
    began, cuts = time.monotonic(), list[int]()

    def cut() -> None:
        with asking(lake.lake) as postgres, postgres.cursor() as cursor:
            cursor.execute(random.choice((BREAK_ALL, f"{BREAK_ALL} ORDER BY random() LIMIT 1")))
            cuts.append(cursor.rowcount)

    stored = [lake.change(partial(_store_one_more, number)) for number in range(3)]
    took = (time.monotonic() - began) / 3
    for number in range(3, 20):
        # Once in each: on a busy machine a change takes longer than the time between two.
        cutting = threading.Timer(random.uniform(0, took), cut)
        cutting.start()
        stored.append(lake.change(partial(_store_one_more, number)))
        cutting.join()
    assert sum(cuts) >= 17
    assert stored == list(range(20))
    with lake.reading() as con:
        assert con is not None
        assert con.execute("SELECT seconds::INTEGER FROM api_requests ORDER BY 1").fetchall() == [
            (number,) for number in stored
        ]


def _store_one_more(number: int, con: duckdb.DuckDBPyConnection) -> int:
    con.execute(
        "INSERT INTO api_requests (operation, requested_at, api, seconds, run_id) VALUES ('op', now(), 'a', ?, 'run')",
        [number],
    )
    con.execute("DELETE FROM agent_9_windows")
    return number


@contextmanager
def _started_anew(cluster: Cluster, how: signal.Signals, *, seconds: float) -> Iterator[None]:
    """It is stopped, and comes back so much later."""
    cluster.stop(how)
    starting = threading.Timer(seconds, cluster.start)
    starting.start()
    try:
        yield
    finally:
        starting.join()


def test_a_postgres_that_is_started_anew_is_waited_for(
    postgres_cluster: Cluster, postgres_address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LakeStore(tmp_path, Lake(SecretStr(postgres_address), str(tmp_path / "lake")))
    store.change(partial(_store_one_more, 0))
    with _started_anew(postgres_cluster, signal.SIGQUIT, seconds=2):
        store.change(partial(_store_one_more, 1))
    with store.reading() as con:
        assert con is not None
        assert con.execute("SELECT COUNT(*) FROM api_requests").fetchall() == [(2,)]
    assert "nothing listens there" in caplog.text
    assert "It is tried again by itself in" in caplog.text


def test_a_reading_waits_for_a_postgres_that_is_started_anew(
    postgres_cluster: Cluster, postgres_address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LakeStore(tmp_path, Lake(SecretStr(postgres_address), str(tmp_path / "lake")))
    store.change(partial(_store_one_more, 0))
    with _started_anew(postgres_cluster, signal.SIGINT, seconds=1), store.reading() as con:
        assert con is not None
        assert con.execute("SELECT COUNT(*) FROM api_requests").fetchall() == [(1,)]
    assert "The lake can't be read: nothing listens there" in caplog.text


@pytest.mark.long
def test_a_reading_begins_whatever_connection_breaks_and_when(lake: LakeStore) -> None:
    lake.change(partial(_store_one_more, 0))
    began = time.monotonic()
    with lake.reading():
        took = time.monotonic() - began
    for _ in range(20):

        def cut() -> None:
            with asking(lake.lake) as postgres, postgres.cursor() as cursor:
                cursor.execute(BREAK_ALL)

        cutting = threading.Timer(random.uniform(0, took), cut)
        cutting.start()
        with lake.reading() as con:
            assert con is not None
        cutting.join()
    with lake.reading() as con:
        assert con is not None
        assert con.execute("SELECT COUNT(*) FROM api_requests").fetchall() == [(1,)]


class Unanswered:
    """A connection of which a COMMIT raises an error. `counts`: and yet it counts."""

    def __init__(self, con: duckdb.DuckDBPyConnection, counts: bool) -> None:
        self._con, self._counts = con, counts

    def execute(self, statement: str, *values: object) -> duckdb.DuckDBPyConnection:
        if statement != "COMMIT":
            return self._con.execute(statement, *values)
        self._con.execute("COMMIT" if self._counts else "ROLLBACK")
        raise duckdb.Error("server closed the connection unexpectedly")


@pytest.mark.parametrize("counts", [True, False], ids=["counts", "does not count"])
def test_a_commit_that_was_not_answered_is_looked_up(
    counts: bool, lake: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def unanswered(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
        monkeypatch.setattr(duck, "cursor", cursor)
        with cursor(lake) as con:
            yield cast("duckdb.DuckDBPyConnection", Unanswered(con, counts))

    cursor = duck.cursor
    monkeypatch.setattr(duck, "cursor", unanswered)
    done = []
    lake.change(lambda con: done.append(_store_one_more(7, con)))
    assert len(done) == (1 if counts else 2)
    with lake.reading() as con:
        assert con is not None
        assert con.execute("SELECT COUNT(*) FROM api_requests").fetchall() == [(1,)]


@pytest.mark.parametrize("seconds", [0.4, 5.0])
def test_a_commit_that_postgres_carries_out_later_counts_once(
    seconds: float, postgres_address: str, tmp_path: Path
) -> None:
    of_postgres = parse_dsn(postgres_address)
    late = LateCommits(of_postgres["host"], of_postgres.get("port", "5432"), seconds)
    through = {"host": "127.0.0.1", "port": late.port, "sslmode": "disable", "gssencmode": "disable"}
    store = LakeStore(
        tmp_path, Lake(SecretStr(make_dsn(**{**of_postgres, **through})), str(tmp_path / "lake"))
    )
    try:
        store.change(partial(_store_one_more, 0))
        late.armed = True
        assert store.change(partial(_store_one_more, 1)) == 1
        assert late.done.wait(30)
        time.sleep(0.5)
        with store.reading() as con:
            assert con is not None
            assert con.execute("SELECT seconds FROM api_requests ORDER BY ALL").fetchall() == [(0,), (1,)]
    finally:
        late.close()


def test_what_postgres_does_not_allow_is_said_and_not_tried_again(
    postgres_address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lake = Lake(SecretStr(postgres_address), str(tmp_path / "lake"))
    LakeStore(tmp_path, lake).change(partial(_store_one_more, 0))
    role = f"writer_{os.getpid()}"
    other = LakeStore(tmp_path, lake._replace(postgres=SecretStr(make_dsn(postgres_address, user=role))))
    with asking(lake) as postgres, postgres.cursor() as cursor:
        cursor.execute(
            f"CREATE ROLE {role} LOGIN;"
            f"GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
            f"REVOKE INSERT ON public.ducklake_snapshot FROM {role}; COMMIT"
        )
        try:
            assert any("may not write" in said for fine, _, said in other.findings() if not fine)
            with pytest.raises(StoreError, match="permission denied for table ducklake_snapshot") as caught:
                other.change(partial(_store_one_more, 1))
            assert "INSERT" not in f"{caught.value}"
            assert ".." not in f"{caught.value}"
        finally:
            cursor.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert "tried again" not in caplog.text


def test_a_role_that_may_make_no_table_is_told_before_the_first_run(
    postgres_address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As Postgres has it from 15 on, for a role that does not own the database."""
    role = f"newcomer_{os.getpid()}"
    lake = Lake(SecretStr(make_dsn(postgres_address, user=role)), str(tmp_path / "lake"))
    with psycopg2.connect(postgres_address) as postgres, postgres.cursor() as cursor:
        cursor.execute(f"REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE {role} LOGIN; COMMIT")
        try:
            assert any(
                "may not write" in said for fine, _, said in LakeStore(tmp_path, lake).findings() if not fine
            )
            with pytest.raises(StoreError, match="permission denied for schema public"):
                LakeStore(tmp_path, lake).change(partial(_store_one_more, 0))
            assert "tried again" not in caplog.text
            cursor.execute(f"GRANT CREATE ON SCHEMA public TO {role}; COMMIT")
            assert all(fine for fine, _, _ in LakeStore(tmp_path, lake).findings())
            LakeStore(tmp_path, lake).change(partial(_store_one_more, 0))
        finally:
            cursor.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    postgres.close()
