"""What all SQL on a report's tables is run on: an open store, whose operation it is about, and which report."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.store.face import Store
from wolkvox_assets.store.filled import filled


class Tables(NamedTuple):
    """The tables of a report, as far as they are one operation's."""

    con: duckdb.DuckDBPyConnection
    operation: str
    report: Report

    def execute(self, sql: str, /, **values: object) -> duckdb.DuckDBPyConnection:
        """`sql`: in the notation of `filled.py`. It has to use `$operation`, and each of `values`."""
        return self.con.execute(filled(sql, self.report), {"operation": self.operation, **values})


@contextmanager
def reading(store: Store, operation: str, report: Report) -> Iterator[Tables | None]:
    """As `Store.reading`: None where nothing was stored yet."""
    with store.reading() as con:
        yield Tables(con, operation, report) if con else None
