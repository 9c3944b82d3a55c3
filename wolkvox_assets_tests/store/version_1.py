"""Stores as releases before `schema_version` left them.

What belongs here: making one, with rows in every table. `schema-1.sql` is those releases' own, letter by letter.
What doesn't: assertions.
"""

from functools import cache
from pathlib import Path

import duckdb

from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.integrity import opened

SCHEMA = Path(__file__).with_name("schema-1.sql")
# Those releases', and what DuckDB writes where nothing is said: read by DuckDB 1.0 and newer.
STORAGE_VERSIONS = ("v1.5.0", "")

Row = tuple[object, ...]

_VALUES = {
    "VARCHAR": "'ñ' || i || repeat(md5(i::VARCHAR), 8)",
    "TIMESTAMP": "TIMESTAMP '2026-11-16 00:00' + to_minutes(5 * i)",
    "DATE": "DATE '2026-11-16' + i::INTEGER // 288",
    "BOOLEAN": "i % 2 = 0",
    "INTEGER": "i",
    "BIGINT": "i * 5000000000",
    "DOUBLE": "i / 8",
}


def make(store: FileStore, storage_version: str = STORAGE_VERSIONS[0], rows: int = 200) -> None:
    store.folder.mkdir(parents=True)
    config = {"storage_compatibility_version": storage_version} if storage_version else {}
    with duckdb.connect(store.own, config=dict(config)) as con:
        con.execute(SCHEMA.read_text("utf-8"))
        for table in tables_of(con):
            types = con.execute(f"SELECT column_type FROM (DESCRIBE {table})")
            values = ", ".join(_VALUES[kind] for (kind,) in types.fetchall())
            con.execute(f"INSERT INTO {table} SELECT {values} FROM range({rows}) AS r(i)")
    store.published.write_bytes(store.own.read_bytes())


def tables_of(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]


@cache
def _tables() -> list[str]:
    with duckdb.connect() as con:
        con.execute(SCHEMA.read_text("utf-8"))
        return tables_of(con)


def rows_of(file: Path) -> dict[str, list[Row]]:
    """All rows of all tables that version 1 had."""
    with opened(file) as con:
        return {table: con.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in _tables()}
