"""The versions of the tables: what they are now, and what leads there from an older one.

What belongs here: that, for every kind of store. What doesn't: when it is done, and keeping what was there before.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version

import duckdb

from wolkvox_assets.store.meanings import write_comments
from wolkvox_assets.store.schema import schema, views

VERSION = 3
"""Of the tables, and of how the files are written. 1: files without a `schema_version`. 2: bodies not compressed."""

# What leads to each version from the one before, beyond tables that `schema.sql` adds by itself. All steps that
# are due run in one transaction, in a new file or in the lake.
_STEPS: dict[int, Callable[[duckdb.DuckDBPyConnection], None]] = {
    # No table is another; a file is written anew, in the format of DuckDB 1.2
    2: lambda _: None,
    3: lambda _: None,  # and with compressed bodies: of an existing column that can't be changed
}


def raise_version(con: duckdb.DuckDBPyConnection, old_version: int, *, lake: bool = False) -> None:
    """Brings what `con` has open, a file or a lake, from `old_version` (0: it is new) to `VERSION`, in the caller's
    transaction."""
    if old_version:
        for step in range(old_version + 1, VERSION + 1):
            _STEPS[step](con)
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
