"""Lakes for tests: a database of its own in a real Postgres, and a folder.

What belongs here: making, emptying and dropping them. What doesn't: assertions.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection
from pydantic import SecretStr

from wolkvox_assets.store.lake import duck
from wolkvox_assets.store.lake.examine import has_catalog
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets.store.lake.turn import asking

BOTH = ("files", "lake")
"""Both kinds of store. Tests of a module with `STORES = BOTH` run on both, if they have a `store` and no cases."""

POSTGRES = "host=127.0.0.1 port=5432 user=postgres"


@contextmanager
def database() -> Iterator[str]:
    """What libpq takes for a new database, which is dropped afterwards. Where there is no Postgres the test is skipped,
    and fails where `CI` is set."""
    name = f"wolkvox_{uuid.uuid4().hex}"
    try:
        server = psycopg2.connect(f"{POSTGRES} dbname=postgres", connect_timeout=3)
    except psycopg2.OperationalError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no Postgres at {POSTGRES}: {error}")
    try:
        server.autocommit = True
        server.cursor().execute(f"CREATE DATABASE {name}")
        try:
            yield f"{POSTGRES} dbname={name}"
        finally:
            server.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        server.close()


@contextmanager
def dagster_database() -> Iterator[str]:
    """The same as the address of Dagster's storage."""
    with database() as address:
        yield f"postgresql+psycopg2://postgres@127.0.0.1:5432/{address.rpartition('=')[2]}"


@contextmanager
def new_lake(folder: Path) -> Iterator[Lake]:
    """One in which nothing was stored yet."""
    with database() as address:
        lake = Lake(SecretStr(address), str(folder / "lake"))
        try:
            yield lake
        finally:
            duck.forget(lake)


def empty(store: LakeStore) -> None:
    """Deletes all rows but the tables' version. To make another lake takes five times as long."""
    with asking(store.lake) as con:
        names = (
            [name for name in tables_with_rows(con) if name != "schema_version"] if has_catalog(con) else []
        )
    if names:
        with store.transaction() as writing:
            for name in names:
                writing.execute(f"DELETE FROM {name}")


def tables_with_rows(con: connection) -> list[str]:
    """In the catalog or in files."""
    cursor = con.cursor()
    cursor.execute("SELECT table_id, table_name FROM ducklake_table WHERE end_snapshot IS NULL")
    names = dict(cursor.fetchall())
    cursor.execute("SELECT DISTINCT table_id FROM ducklake_data_file WHERE end_snapshot IS NULL")
    found = {table for (table,) in cursor.fetchall()}
    cursor.execute("SELECT table_id, table_name FROM ducklake_inlined_data_tables")
    for table, rows in cursor.fetchall():
        cursor.execute(f"SELECT EXISTS (SELECT FROM {rows} WHERE end_snapshot IS NULL)")
        found |= {table for (there,) in cursor.fetchall() if there}
    return [names[table] for table in found if table in names]
