"""How the lake is, for `doctor` and `status`: looked at, and left as it is.

What belongs here: findings, and how much there is of everything. What doesn't: cleaning it up.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from wolkvox_assets.api.postgres import trouble
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.store.disk import nearest
from wolkvox_assets.store.errors import StoreError
from wolkvox_assets.store.face import Finding
from wolkvox_assets.store.lake import duck
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.turn import asking
from wolkvox_assets.store.versions import VERSION

if TYPE_CHECKING:
    from wolkvox_assets.store.lake.store import LakeStore


class Holdings(NamedTuple):
    """What a lake is made of. `bytes`: of its files. `inlined_rows`: those in the catalog, not in files yet."""

    snapshots: int
    files: int
    bytes: int
    inlined_rows: int

    def __str__(self) -> str:
        files = f"{counted(self.files, 'file')} ({self.bytes / 1e6:,.0f} MB)"
        return (
            f"{counted(self.snapshots, 'snapshot')}, {files}, and {counted(self.inlined_rows, 'row')} not in "
            "files yet"
        )


def holdings(con: connection) -> Holdings:
    """Of the lake whose catalog is in this Postgres."""
    with con.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM public.ducklake_snapshot")
        ((snapshots,),) = cursor.fetchall()
        cursor.execute(
            "SELECT COUNT(*), COALESCE(SUM(file_size_bytes), 0) FROM public.ducklake_data_file"
            " WHERE end_snapshot IS NULL"
        )
        ((files, size),) = cursor.fetchall()
        cursor.execute("SELECT table_name FROM public.ducklake_inlined_data_tables")
        inlined = 0
        for (table,) in cursor.fetchall():
            cursor.execute(
                sql.SQL("SELECT COUNT(*) FROM {} WHERE end_snapshot IS NULL").format(
                    sql.Identifier("public", table)
                )
            )
            inlined += cursor.fetchall()[0][0]
    return Holdings(snapshots, files, int(size), inlined)


def findings(store: "LakeStore") -> Iterator[Finding]:
    """Everything about the lake that a person should know. Changes nothing."""
    try:
        with asking(store.lake) as con:
            postgres = con.info.server_version // 10_000
            address = f"{con.info.dbname} on {con.info.host}"
            there = has_catalog(con)
            held = holdings(con) if there else None
            may_write = _may_write(con, there)
    except psycopg2.Error as error:
        said = trouble(error, store.lake.postgres).said
        yield False, "lake", f"its Postgres can't be used: {said}. Put that right, or correct WOLKVOX_STORE"
        return
    yield True, "lake", f"its catalog is in {address} (Postgres {postgres})"
    if not may_write:
        said = (
            "its role may not write in the schema public, where the lake's tables are: let it own the database, or "
            "GRANT CREATE ON SCHEMA public TO it before the first run, or GRANT ALL ON ALL TABLES IN SCHEMA public"
        )
        yield False, "lake", said
    yield from _data(store.lake)
    if held is None:
        yield True, "lake", "nothing has been stored yet"
        return
    try:
        store.require_data()
        version = store.version()
    except StoreError as error:
        yield False, "lake", str(error)
        return
    later = "" if version == VERSION else f": the next run upgrades it to {VERSION}"
    yield True, "lake", f"its tables can be read (schema version {version}{later}); it has {held}"


def identity(con: connection) -> tuple[str, bool]:
    """What tells this lake from all others, empty where there is none; and whether it has any table yet."""
    if not has_catalog(con):
        return "", False
    with con.cursor() as cursor:
        cursor.execute(
            "SELECT schema_uuid::text, EXISTS (SELECT FROM public.ducklake_table) FROM public.ducklake_schema"
            " ORDER BY schema_id LIMIT 1"
        )
        found: list[tuple[str, bool]] = cursor.fetchall()
    return found[0]


def has_catalog(con: connection) -> bool:
    """Whether there is a lake in this Postgres."""
    with con.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.ducklake_table') IS NOT NULL")
        return bool(cursor.fetchall()[0][0])


def _may_write(con: connection, there: bool) -> bool:
    """Since Postgres 15, who does not own a database may make no table in its schema public."""
    asked = (
        "has_table_privilege('public.ducklake_snapshot', 'INSERT')"
        if there
        else "has_schema_privilege('public', 'CREATE')"
    )
    with con.cursor() as cursor:
        cursor.execute(f"SELECT {asked}")
        return bool(cursor.fetchall()[0][0])


def _data(lake: Lake) -> Iterator[Finding]:
    if lake.s3 is not None:
        try:
            with duck.bare(lake) as con:
                con.execute("SELECT file FROM glob(?) LIMIT 1", [f"{lake.data}/*"]).fetchall()
        except (duckdb.Error, duck.NotInstalled) as error:
            why = str(error).partition("\n")[0]  # below it stands our SQL
            yield False, "lake", f"its data in {lake.data} can't be listed: {why}"
        else:
            yield True, "lake", f"its data in {lake.data} can be listed"
        return
    folder = Path(lake.data)
    there = nearest(folder)
    if there.is_dir() and os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield True, "lake", f"its data in {lake.data} can be written"
    else:
        yield (
            False,
            "lake",
            f"this user cannot write in {there}, where its data belongs: change its mode or owner, or mount it",
        )
