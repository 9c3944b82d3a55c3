"""The version of the tables, in every kind of store, and what leads there from an older one."""

from datetime import UTC, datetime
from importlib.metadata import version

import duckdb

from wolkvox_assets.store.meanings import write_comments
from wolkvox_assets.store.schema import schema, views

VERSION = 3
"""Of the tables, and of how the files are written. 1: files without a `schema_version`. 2: bodies not compressed.
None needed more so far than tables that `schema.sql` adds, in a file that is written anew."""


def raise_version(con: duckdb.DuckDBPyConnection, old_version: int, *, lake: bool = False) -> None:
    """Brings what `con` has open, a file or a lake, from `old_version` (0: it is new) to `VERSION`, in the caller's
    transaction."""
    con.execute(schema(lake=lake))
    con.execute(views())
    write_comments(con, view_columns=not lake)
    if old_version < VERSION:
        con.execute(
            "INSERT INTO schema_version VALUES (?, ?, ?)",
            [
                VERSION,
                datetime.now(UTC).replace(tzinfo=None),
                f"wolkvox_assets {version('wolkvox-assets')}",
            ],
        )
