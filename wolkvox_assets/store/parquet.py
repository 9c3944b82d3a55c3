"""The tables as Parquet files, for tools that read no DuckDB: a file for each table, operation and month.

`<folder>/<table>/operation=<name>/month=<2026-11>/data.parquet`, the form that readers call hive partitioning. A
file is replaced whole. What it holds it says itself, by a digest among its metadata: so it is written anew when its
month holds something else, whatever clocks say, and nothing has to be remembered.
"""

import os
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import duckdb

from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.store.disk import flush, make_folder, same_access
from wolkvox_assets.store.face import Store
from wolkvox_assets.store.files import PUBLISHED
from wolkvox_assets.store.filled import literal

_CONTENT = "content"  # the key of the digest


def exported() -> tuple[str, ...]:
    """The tables that are written: those that people read, of each report."""
    return tuple(table for report in REPORTS for table in report.names.published)


def folder_of(store: Store) -> Path:
    """In the folder of this machine."""
    return store.folder / "parquet"


def months_out_of_date(con: duckdb.DuckDBPyConnection, folder: Path, operation: str) -> list[date]:
    """The first days of the months of which a file is missing or holds something else, oldest first."""
    stored = {table: _digests(con, table, operation) for table in exported()}
    there = folder.glob(f"*/operation={operation}/month=*/data.parquet")
    months = {month for digests in stored.values() for month in digests}
    months |= {date.fromisoformat(f"{file.parent.name.removeprefix('month=')}-01") for file in there}
    return [
        month
        for month in sorted(months)
        if any(
            _written(con, _file(folder, table, operation, month)) != digests.get(month)
            for table, digests in stored.items()
        )
    ]


def write_month(
    con: duckdb.DuckDBPyConnection, store: Store, operation: str, month: date
) -> Mapping[str, int]:
    """Write the files of this month (its first day), each whole or not at all. Returns their rows, by table."""
    rows = {}
    for table in exported():
        file = _file(folder_of(store), table, operation, month)
        digest = _digests(con, table, operation).get(month)
        if digest is None:
            file.unlink(missing_ok=True)
            continue
        make_folder(file.parent)
        # Readers pass over names that begin with a dot.
        new = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            found = con.execute(
                f"COPY ({_rows(table)} ORDER BY ALL) TO {literal(new)}"
                f" (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{_CONTENT}: '{digest}'}})",
                _of(operation, month),
            ).fetchone()
            same_access(new, store.folder / PUBLISHED, mode=0o640)
            flush(new)
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)
        rows[table] = int(found[0]) if found else 0
    return rows


def _digests(con: duckdb.DuckDBPyConnection, table: str, operation: str) -> dict[date, str]:
    """Of the rows of each month, whatever their order."""
    found = con.execute(  # `table`: one of ours
        "SELECT date_trunc('month', local_date)::DATE AS month, COUNT(*) || '-' || bit_xor(hash(one))"  # noqa: S608
        f" FROM {table} AS one WHERE operation = $operation GROUP BY month",
        {"operation": operation},
    ).fetchall()
    return dict(found)


def _written(con: duckdb.DuckDBPyConnection, file: Path) -> str | None:
    if not file.exists():
        return None
    try:
        with con.cursor() as apart:  # an error would end the transaction of the reading
            found = apart.execute(
                "SELECT value::VARCHAR FROM parquet_kv_metadata($file) WHERE key::VARCHAR = $key",
                {"file": str(file), "key": _CONTENT},
            ).fetchone()
    except duckdb.Error:  # no Parquet file, or a damaged one: written anew
        return None
    return str(found[0]) if found else None


def _rows(table: str) -> str:
    return (
        f"SELECT * FROM {table} WHERE operation = $operation AND local_date >= $first AND local_date < $after"  # noqa: S608  # one of ours
    )


def _of(operation: str, month: date) -> dict[str, object]:
    return {"operation": operation, "first": month, "after": (month + timedelta(days=31)).replace(day=1)}


def _file(folder: Path, table: str, operation: str, month: date) -> Path:
    return folder / table / f"operation={operation}" / f"month={month:%Y-%m}" / "data.parquet"
