"""All that is stored, copied from one store to another: from the files to a lake, and back.

What belongs here: what is copied, in which pieces, and whether it is equal. What doesn't: which stores
(`commands/copy.py`).

A piece is equal or it is copied again, so a copy that was stopped is gone on with by repeating it. Until all of it is
equal, what the target has of an operation counts as unfinished (`sources.unfinished`), and nothing else can be stored
there. The source is read in snapshots: who writes in it meanwhile is not kept waiting, and is copied by another pass.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb

from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.store import sources
from wolkvox_assets.store.errors import StoreError
from wolkvox_assets.store.face import Store
from wolkvox_assets.store.filled import literal
from wolkvox_assets.store.meanings import columns, meanings

_SOURCES = "operation_sources"  # says whether a copy is finished: comes last


class Piece(NamedTuple):
    """Rows of an operation. `month`: its first day; None for a table that goes as a whole."""

    table: str
    month: date | None


class State(NamedTuple):
    """What stands in a piece. `digest`: of all values of all rows. `sums`: of each column with numbers."""

    rows: int
    digest: str
    sums: Mapping[str, int]


class Counted(NamedTuple):
    """How many rows a table has of an operation. `sums`: of each column with numbers."""

    rows: int
    sums: Mapping[str, int]


NOTHING = State(0, "", {})


def copy(
    source: Store, target: Store, tell: Callable[[str, date | None], None]
) -> dict[str, dict[str, Counted]]:
    """Makes the target's rows of each operation that the source has equal to the source's. Other operations of the
    target stay as they are; the source is never changed.

    `tell` hears of each month of an operation (its first day) that was copied, and of the rest (None). Returns what
    both have at the end, for each operation and table. Raises `StoreError` where there is nothing to copy, and where
    the target holds something else of an operation: then nothing was changed.
    """
    with tempfile.TemporaryDirectory(prefix="wolkvox-copy-") as folder:
        while True:
            with source.reading() as con:
                if con is None:
                    raise StoreError(f"There is nothing to copy: nothing was stored in {source.where} yet.")
                operations = sources.operations(con)
                _begin(con, source, target)
                copied = [_copy(con, target, operation, Path(folder), tell) for operation in operations]
                if not any(copied):
                    # All of this snapshot is there. What was stored while it was copied came with this pass.
                    _finish(con, target)
                    return {operation: _counted(con, operation) for operation in operations}


def _begin(con: duckdb.DuckDBPyConnection, source: Store, target: Store) -> None:
    """Raises `StoreError` where the target has something else."""
    operations = sources.operations(con)
    for operation in operations:
        if sources.unfinished(con, operation):
            raise StoreError(
                f"operation {operation}: what {source.where} has of it is itself a copy that is not finished. Finish "
                "that first. Nothing was changed."
            )
    with target.reading() as there:
        new = [operation for operation in operations if _is_new(con, there, operation, source, target)]
    if new:
        with target.transaction() as into:
            for operation in new:
                # Looked at again: something may have been stored there since.
                if _is_new(con, into, operation, source, target):
                    sources.record_unfinished(into, operation)


def _is_new(
    con: duckdb.DuckDBPyConnection,
    there: duckdb.DuckDBPyConnection | None,
    operation: str,
    source: Store,
    target: Store,
) -> bool:
    """Whether nothing is there of it; a copy may be, finished or not. Raises `StoreError` where it is anything else."""
    if there is None:
        return True
    if sources.unfinished(there, operation):
        return False
    if not sources.rows_of(there, operation).keys() - {_SOURCES}:
        return True
    for table in _tables():
        here, elsewhere = _states(con, table, operation), _states(there, table, operation)
        if here != elsewhere:
            rows = sum(state.rows for state in here.values()), sum(state.rows for state in elsewhere.values())
            raise StoreError(
                f"operation {operation}: {target.where} holds something else of it already: {table} has {rows[1]:,} "
                f"rows there and {rows[0]:,} in {source.where}. Nothing was changed. If what is there can go, delete "
                f"it with the settings of that store (wolkvox-assets source {operation} --drop), and repeat the copy."
            )
    return False


def _copy(
    con: duckdb.DuckDBPyConnection,
    target: Store,
    operation: str,
    folder: Path,
    tell: Callable[[str, date | None], None],
) -> int:
    """Copies what differs. Returns how many pieces that were."""
    with target.reading() as there:
        differ = [
            (Piece(table, month), here.get(month, NOTHING))
            for table in _tables()
            for here, elsewhere in [(_states(con, table, operation), _states(there, table, operation))]
            for month in {*here, *elsewhere}
            if here.get(month) != elsewhere.get(month)
        ]
    for month in _in_order({piece.month for piece, _ in differ}):
        _copy_pieces(
            con,
            target,
            operation,
            [(piece, state) for piece, state in differ if piece.month == month],
            folder,
        )
        tell(operation, month)
    return len(differ)


def _copy_pieces(
    con: duckdb.DuckDBPyConnection,
    target: Store,
    operation: str,
    pieces: Sequence[tuple[Piece, State]],
    folder: Path,
) -> None:
    for piece, _ in pieces:
        _write(con, operation, piece, folder)
    with target.transaction() as into:
        if not sources.unfinished(into, operation):
            raise StoreError(
                f"operation {operation}: something else began to store it in {target.where} meanwhile. What was "
                "copied so far is there. Stop that, and repeat the copy."
            )
        for piece, state in pieces:
            _replace(into, operation, piece, folder)
            if _states(into, piece.table, operation, piece.month).get(piece.month, NOTHING) != state:
                raise StoreError(
                    f"operation {operation}: {_named(piece)} is not equal after it was copied to {target.where}. It "
                    "was not stored there, what was copied before is. Repeat the copy; if it stays, the program is "
                    "at fault."
                )


def _counted(con: duckdb.DuckDBPyConnection | None, operation: str) -> dict[str, Counted]:
    found = {}
    for table in _tables():
        states = _states(con, table, operation).values()
        sums: Counter[str] = Counter()
        for state in states:
            sums.update(state.sums)
        found[table] = Counted(sum(state.rows for state in states), sums)
    return found


def _finish(con: duckdb.DuckDBPyConnection, target: Store) -> None:
    """From here on the target's rows are as good as the source's."""
    with target.reading() as there:
        begun = [one for one in sources.operations(con) if there and sources.unfinished(there, one)]
    if not begun:
        return
    with target.transaction() as into:
        for operation in begun:
            sources.record_as(into, operation, con)


def _tables() -> list[str]:
    return [table for table in meanings() if table != _SOURCES and "operation" in _columns(table)]


def _month_of(table: str) -> str | None:
    """The column by whose month a large table goes. All others go as a whole, and keep the order in which they were
    stored."""
    by_day = {name for report in REPORTS for name in (report.names.windows, report.names.window_log)}
    by_day |= {report.names.agent_days for report in REPORTS}
    if table in by_day:
        return "local_date"
    return "requested_at" if table == "api_requests" else None


def _columns(table: str) -> dict[str, str]:
    """Names and types."""
    return {name: kind for name, kind, _ in columns(table)}


def _states(
    con: duckdb.DuckDBPyConnection | None, table: str, operation: str, only: date | None = None
) -> dict[date | None, State]:
    """By month; of a table that goes as a whole by None. Where there are no rows there is no state."""
    if con is None:
        return {}
    kinds = _columns(table)
    one = f"hash({', '.join(kinds)})"
    if by := _month_of(table):
        month, digest = f"date_trunc('month', {by})::DATE", f"bit_xor({one}) || '-' || SUM({one})"
    else:
        month, digest = "NULL::DATE", f"hash(list({one} ORDER BY rowid))::VARCHAR"
    # Exact, whatever the order: a sum of DOUBLE is not.
    numbers = {
        name: f"SUM({name}::DECIMAL(38, 9))" if kind == "DOUBLE" else f"SUM({name})::HUGEINT"
        for name, kind in kinds.items()
        if kind in {"INTEGER", "BIGINT", "DOUBLE"}
    }
    rows, values = _which(table, operation, only)
    found = con.execute(
        f"SELECT {', '.join([month, 'COUNT(*)', digest, *numbers.values()])} {rows} GROUP BY 1", values
    ).fetchall()
    return {
        month: State(count, digest, {name: total or 0 for name, total in zip(numbers, sums, strict=True)})
        for month, count, digest, *sums in found
        if count
    }


def _write(con: duckdb.DuckDBPyConnection, operation: str, piece: Piece, folder: Path) -> None:
    rows, values = _which(piece.table, operation, piece.month)
    con.execute(
        f"COPY (SELECT {', '.join(_columns(piece.table))} {rows} ORDER BY rowid)"
        f" TO {_file(folder, piece)} (FORMAT parquet)",
        values,
    )


def _replace(con: duckdb.DuckDBPyConnection, operation: str, piece: Piece, folder: Path) -> None:
    rows, values = _which(piece.table, operation, piece.month)
    con.execute(f"DELETE {rows}", values)
    con.execute(f"INSERT INTO {piece.table} BY NAME FROM read_parquet({_file(folder, piece)})")


def _which(table: str, operation: str, month: date | None) -> tuple[str, dict[str, object]]:
    rows = f"FROM {table} WHERE operation = $operation"
    if month is None:
        return rows, {"operation": operation}
    by, after = _month_of(table), (month + timedelta(days=31)).replace(day=1)
    return f"{rows} AND {by} >= $first AND {by} < $after", {
        "operation": operation,
        "first": month,
        "after": after,
    }


def _in_order(months: set[date | None]) -> Sequence[date | None]:
    return sorted(months, key=lambda month: month or date.max)


def _named(piece: Piece) -> str:
    return f"{piece.table} of {piece.month:%Y-%m}" if piece.month else piece.table


def _file(folder: Path, piece: Piece) -> str:
    return literal(folder / f"{piece.table}.parquet")
