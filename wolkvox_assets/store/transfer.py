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
from dataclasses import dataclass
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
    """Rows of an operation in a table. `month`: its first day; None for a table that goes as a whole."""

    operation: str
    table: str
    month: date | None

    def __str__(self) -> str:
        return f"{self.table} of {self.month:%Y-%m}" if self.month else self.table


class State(NamedTuple):
    """What stands in a piece. `digest`: of all values of all rows. `sums`: of each column with numbers."""

    rows: int
    digest: str
    sums: Mapping[str, int]


class Counted(NamedTuple):
    """How many rows a table has of an operation. `sums`: of each column with numbers."""

    rows: int
    sums: Mapping[str, int]


_NOTHING = State(0, "", {})


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
                this = _Pass(con, sources.operations(con), source.where, target, Path(folder))
                this.begin()
                copied = 0
                for operation in this.operations:
                    for month, pieces in this.differing(operation).items():
                        this.copy(operation, pieces)
                        copied += 1
                        tell(operation, month)
                if not copied:
                    # All of this snapshot is there. What was stored while it was copied came with this pass.
                    this.finish()
                    return {operation: _counted(con, operation) for operation in this.operations}


@dataclass(frozen=True)
class _Pass:
    """One snapshot of the source, `con`, on its way to the target."""

    con: duckdb.DuckDBPyConnection
    operations: Sequence[str]
    where: str
    target: Store
    folder: Path

    def begin(self) -> None:
        """Raises `StoreError` where the target has something else."""
        for operation in self.operations:
            if sources.unfinished(self.con, operation):
                raise StoreError(
                    f"operation {operation}: what {self.where} has of it is itself a copy that is not finished. Finish "
                    "that first. Nothing was changed."
                )
        with self.target.reading() as there:
            new = [operation for operation in self.operations if self._is_new(operation, there)]
        if new:
            with self.target.transaction() as into:
                for operation in new:
                    # Looked at again: something may have been stored there since.
                    if self._is_new(operation, into):
                        sources.record_unfinished(into, operation)

    def _is_new(self, operation: str, there: duckdb.DuckDBPyConnection | None) -> bool:
        """Whether nothing is there of it; a copy may be, finished or not. Else raises `StoreError`."""
        if there is None:
            return True
        if sources.unfinished(there, operation):
            return False
        if not sources.rows_of(there, operation).keys() - {_SOURCES}:
            return True
        for table in _tables():
            here, elsewhere = _states(self.con, table, operation), _states(there, table, operation)
            if here != elsewhere:
                ours, theirs = (sum(state.rows for state in of.values()) for of in (here, elsewhere))
                raise StoreError(
                    f"operation {operation}: {self.target.where} holds something else of it already: {table} has "
                    f"{theirs:,} rows there and {ours:,} in {self.where}. Nothing was changed. If what is there can "
                    "go, delete it with the settings of that store "
                    f"(wolkvox-assets source {operation} --drop), and repeat the copy."
                )
        return False

    def differing(self, operation: str) -> dict[date | None, dict[Piece, State]]:
        """The pieces that are others in the target, and what is here: by month, in order, the rest last."""
        found: dict[date | None, dict[Piece, State]] = {}
        with self.target.reading() as there:
            for table in _tables():
                here, elsewhere = _states(self.con, table, operation), _states(there, table, operation)
                for month in here.keys() | elsewhere.keys():
                    state = here.get(month, _NOTHING)
                    if state != elsewhere.get(month, _NOTHING):
                        found.setdefault(month, {})[Piece(operation, table, month)] = state
        return {month: found[month] for month in sorted(found, key=lambda month: month or date.max)}

    def copy(self, operation: str, pieces: Mapping[Piece, State]) -> None:
        for piece in pieces:
            rows, values = _which(piece)
            self.con.execute(
                f"COPY (SELECT {', '.join(_columns(piece.table))} {rows} ORDER BY rowid)"
                f" TO {self._file(piece)} (FORMAT parquet)",
                values,
            )
        with self.target.transaction() as into:
            if not sources.unfinished(into, operation):
                raise StoreError(
                    f"operation {operation}: something else began to store it in {self.target.where} meanwhile. What "
                    "was copied so far is there. Stop that, and repeat the copy."
                )
            for piece, state in pieces.items():
                rows, values = _which(piece)
                into.execute(f"DELETE {rows}", values)
                into.execute(f"INSERT INTO {piece.table} BY NAME FROM read_parquet({self._file(piece)})")
                there = _states(into, piece.table, operation, piece.month)
                if there.get(piece.month, _NOTHING) != state:
                    raise StoreError(
                        f"operation {operation}: {piece} is not equal after it was copied to {self.target.where}. It "
                        "was not stored there, what was copied before is. Repeat the copy; if this continues, the "
                        "program is at fault."
                    )

    def finish(self) -> None:
        """From here on the target's rows are as good as the source's."""
        with self.target.reading() as there:
            begun = [one for one in self.operations if there and sources.unfinished(there, one)]
        if begun:
            with self.target.transaction() as into:
                for operation in begun:
                    sources.record_as(into, operation, self.con)

    def _file(self, piece: Piece) -> str:
        return literal(self.folder / f"{piece.table}.parquet")


def _counted(con: duckdb.DuckDBPyConnection, operation: str) -> dict[str, Counted]:
    found = {}
    for table in _tables():
        states = _states(con, table, operation).values()
        sums: Counter[str] = Counter()
        for state in states:
            sums.update(state.sums)
        found[table] = Counted(sum(state.rows for state in states), sums)
    return found


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
    rows, values = _which(Piece(operation, table, only))
    found = con.execute(
        f"SELECT {', '.join([month, 'COUNT(*)', digest, *numbers.values()])} {rows} GROUP BY 1", values
    ).fetchall()
    return {
        month: State(count, digest, {name: total or 0 for name, total in zip(numbers, sums, strict=True)})
        for month, count, digest, *sums in found
        if count
    }


def _which(piece: Piece) -> tuple[str, dict[str, object]]:
    rows = f"FROM {piece.table} WHERE operation = $operation"
    values: dict[str, object] = {"operation": piece.operation}
    if piece.month is None:
        return rows, values
    by, after = _month_of(piece.table), (piece.month + timedelta(days=31)).replace(day=1)
    return f"{rows} AND {by} >= $first AND {by} < $after", values | {"first": piece.month, "after": after}
