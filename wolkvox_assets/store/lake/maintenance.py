"""Keeping the lake quick and small: rows of the catalog into files, small files into larger ones, old files away.

What belongs here: that, in which pieces, and that nothing is another afterwards. What doesn't: when it is done.

Each piece is a turn of its own, one table at a time, so writers wait for one at most. DuckLake 1.5.5 takes wrong rows
for deleted where rows that were deleted in the catalog go into files of a partitioned table. So no such rows are left
when it does: snapshots but the last are expired, and the rows that only they have are deleted. Who is reading keeps
all of it, by the transaction of Postgres, and the files stay for two days. And each piece is looked at before it is
committed: where any row, or its place in the order, is another, it is rolled back.
"""

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import NamedTuple

import duckdb
import psycopg2
from psycopg2 import sql

from wolkvox_assets.store.errors import StoreError
from wolkvox_assets.store.lake import duck
from wolkvox_assets.store.lake.folder import share_all, share_newest
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.lake.turn import asking, turn
from wolkvox_assets.store.meanings import columns
from wolkvox_assets.store.schema import tables_wanted

# No query runs longer. A file that nothing needs is deleted when it was set aside so long ago.
_READERS_DAYS = 2

# DuckLake drops tables of the catalog after an upgrade, which a reader in a long transaction may have in use. It is not
# waited for: all who store something would wait with us.
_READER_PATIENCE_SECONDS = 3

# A file is written anew once so much of it was deleted.
_DELETED_SHARE = 0.1

# Each writer changes it, and with it this table's few rows.
_FENCE_TABLE = "schema_version"

_WITH_FILES_OR_WITHOUT_STATISTICS = """
SELECT table_name FROM public.ducklake_table WHERE end_snapshot IS NULL AND (
    table_id IN (SELECT table_id FROM public.ducklake_data_file WHERE end_snapshot IS NULL)
    OR table_id NOT IN (SELECT table_id FROM public.ducklake_table_stats)
)
"""
_INLINED = """
SELECT one_table.table_name, inlined.table_name FROM public.ducklake_inlined_data_tables AS inlined
JOIN public.ducklake_table AS one_table USING (table_id) WHERE one_table.end_snapshot IS NULL
"""


class Maintained(NamedTuple):
    """What was done. `left`: for each piece that was not, why, in a sentence."""

    flushed_rows: int
    files_written: int
    files_deleted: int
    left: Sequence[str]


def maintain(lake: Lake, fence: Callable[[duckdb.DuckDBPyConnection], object]) -> Maintained:
    """Does all of it. `fence`: what each transaction does, so that of two at once one is refused. (With what only makes
    other files DuckLake takes no change in one transaction; it refuses that itself where the files were changed.)

    Raises as `LakeStore` does inside, where the lake can't be had. Stopped at any moment all is as it was, or done.
    """
    done = {_flush: 0, _rewrite: 0, _merge: 0, begin_statistics: 0}
    left, deleted = [], 0
    share_all(lake)
    with closing(duck.attached(lake, lock_patience_seconds=_READER_PATIENCE_SECONDS)) as con:
        table = "old files"
        try:
            # First, for what follows needs room.
            deleted = _delete_files(lake, con)
            for table in _not_empty(lake):
                for piece in done:
                    try:
                        done[piece] += _in_turn(lake, con, fence, table, piece)
                    except _Another as found:
                        left.append(str(found))
            table = "old snapshots"
            with turn(lake):
                _forget_the_past(lake, con, fence)
        except (duckdb.Error, psycopg2.errors.LockNotAvailable) as error:
            if "lock timeout" not in str(error):
                raise
            left.append(
                f"{table} and what follows: somebody has a table of the catalog in use (in Postgres: pg_locks)"
            )
    return Maintained(done[_flush], done[_rewrite] + done[_merge], deleted, left)


class _Another(StoreError):
    """A piece would have changed what stands in the table."""


def _not_empty(lake: Lake) -> list[str]:
    """The tables that there may be something to do for: with rows, or without statistics (`begin_statistics`). To find
    turn by turn that for an empty one there is nothing takes 0.2 s of CPU.
    """
    with asking(lake) as catalog, catalog.cursor() as cursor:
        cursor.execute(_WITH_FILES_OR_WITHOUT_STATISTICS)
        found = {table for (table,) in cursor.fetchall()}
        cursor.execute(_INLINED)
        for table, rows in cursor.fetchall():
            cursor.execute(
                sql.SQL("SELECT FROM {} WHERE end_snapshot IS NULL LIMIT 1").format(
                    sql.Identifier("public", rows)
                )
            )
            if cursor.rowcount:
                found.add(table)
    return sorted(found & tables_wanted().keys() - {_FENCE_TABLE})


def _in_turn(
    lake: Lake,
    con: duckdb.DuckDBPyConnection,
    fence: Callable[[duckdb.DuckDBPyConnection], object],
    table: str,
    piece: Callable[[duckdb.DuckDBPyConnection, str], int],
) -> int:
    with turn(lake) as still_ours:
        _forget_the_past(lake, con, fence)
        con.execute("BEGIN")
        try:
            before = _digest(con, table)
            count = piece(con, table)
            if not count:
                return 0
            if _digest(con, table) != before:
                raise _Another(
                    f"{table}: {piece.__name__.strip('_')} would have changed what stands in it. It was left as it is"
                )
            if piece in (_flush, begin_statistics):
                fence(con)
            still_ours()
            con.execute("COMMIT")
            share_newest(lake)
            return count
        finally:
            with suppress(duckdb.Error):  # where it was committed, or the error has ended it
                con.execute("ROLLBACK")


def _forget_the_past(
    lake: Lake, con: duckdb.DuckDBPyConnection, fence: Callable[[duckdb.DuckDBPyConnection], object]
) -> None:
    """By number, not by time: clocks of several machines made them.

    The one that stays is a fence: a writer that has lost its turn is refused by what came after its own snapshot, and
    what has expired no longer tells.
    """
    with asking(lake) as catalog, catalog.cursor() as cursor:
        if len(_snapshots(cursor)) > 1:
            catalog.rollback()
            con.execute("BEGIN")
            fence(con)
            con.execute("COMMIT")
            old = _snapshots(cursor)[:-1]
            con.execute(f"CALL ducklake_expire_snapshots('{duck.NAME}', versions => {old})")
        catalog.rollback()
        cursor.execute(f"SET LOCAL lock_timeout = '{_READER_PATIENCE_SECONDS}s'")
        cursor.execute("SELECT table_name FROM public.ducklake_inlined_data_tables")
        for (table,) in cursor.fetchall():
            cursor.execute(
                sql.SQL(
                    "DELETE FROM {} WHERE end_snapshot <= (SELECT MIN(snapshot_id) FROM public.ducklake_snapshot)"
                ).format(sql.Identifier("public", table))
            )
        catalog.commit()


def _snapshots(cursor: psycopg2.extensions.cursor) -> list[int]:
    cursor.execute("SELECT snapshot_id FROM public.ducklake_snapshot ORDER BY snapshot_id")
    return [snapshot for (snapshot,) in cursor.fetchall()]


def _delete_files(lake: Lake, con: duckdb.DuckDBPyConnection) -> int:
    """Those that were set aside long enough ago. Returns how many.

    Not those that no catalog names, as a full disk or a kill leaves them: no reader sees them, and to a catalog that
    was restored from an older backup, all newer files look so.
    """
    with turn(lake):
        return len(
            con.execute(
                f"CALL ducklake_cleanup_old_files('{duck.NAME}', older_than => now() - INTERVAL {_READERS_DAYS} DAY)"
            ).fetchall()
        )


def _digest(con: duckdb.DuckDBPyConnection, table: str) -> object:
    """Of all rows, and of their order."""
    return con.execute(
        f"SELECT COUNT(*), bit_xor(hash(one, rowid)), SUM(hash(one, rowid)) FROM {table} AS one"  # noqa: S608  # ours
    ).fetchall()


def _flush(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Returns how many rows went from the catalog into files."""
    found = con.execute(
        f"CALL ducklake_flush_inlined_data('{duck.NAME}', table_name => '{table}')"
    ).fetchall()
    return sum(int(row[-1]) for row in found)


def _rewrite(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Returns how many files were written without the rows that were deleted from them."""
    found = con.execute(
        f"CALL ducklake_rewrite_data_files('{duck.NAME}', '{table}', delete_threshold => {_DELETED_SHARE})"
    ).fetchall()
    return sum(int(row[-1]) for row in found)


def _merge(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Returns how many files were made of several."""
    found = con.execute(f"CALL ducklake_merge_adjacent_files('{duck.NAME}', '{table}')").fetchall()
    return sum(int(row[-1]) for row in found)


def begin_statistics(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Has DuckLake keep statistics of a table that never had a row; returns whether it did not. In the caller's
    transaction, in which nothing is in the table afterwards, as before.

    For want of them DuckLake 1.5.5 looks for them in the catalog with each query, twice for each column: 17 ms of CPU
    in place of 5, or of 0.4 where they say that no such row is there.
    """
    catalog = f"__ducklake_metadata_{duck.NAME}.public"
    kept = con.execute(
        f"FROM {catalog}.ducklake_table JOIN {catalog}.ducklake_table_stats USING (table_id)"  # ours
        " WHERE table_name = ? AND end_snapshot IS NULL",
        [table],
    ).fetchall()
    if kept or con.execute(f"FROM {table} LIMIT 1").fetchall():
        return 0
    row = ", ".join(_ANY_VALUE.get(kind, "0") for _, kind, _ in columns(table))
    con.execute(f"INSERT INTO {table} VALUES ({row})")  # noqa: S608
    con.execute(f"DELETE FROM {table}")  # noqa: S608
    return 1


# The statistics begin with them: no operation has an empty name.
_ANY_VALUE = {"VARCHAR": "''", "TIMESTAMP": "'1970-01-01'", "DATE": "'1970-01-01'", "BOOLEAN": "FALSE"}
