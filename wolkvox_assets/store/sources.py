"""Where each operation's stored data came from: one server, one time zone, and never a second one unnoticed.

What belongs here: recording it, refusing another one, and the ways out: keep, move, drop. What doesn't: when it is
looked at (`loading.py`, the daily assets, `doctor.py`), the command for a person (`commands/source.py`).

Not only windows belong to a source. That ranges add up, or how much quota is left, was found out about one server and
says nothing of another. So everything of an operation is refused, moved and dropped together.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import duckdb

from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.store.errors import StoreError
from wolkvox_assets.store.face import Store
from wolkvox_assets.store.quota_readings import forget_quota
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import naive_utc

_SOURCES = "operation_sources"
# The address of what is not there as a whole yet: nobody's source.
_UNFINISHED = "copy:unfinished"

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class OperationSource(NamedTuple):
    """A server and how its wall clock is read. `address`: scheme, host, port and path, without a token.
    `server`: the server code. `timezone`: an IANA name."""

    address: str
    server: str
    timezone: str

    @classmethod
    def of(cls, address: str, server: str, timezone: str) -> "OperationSource":
        """The same server has the same address, however that was spelt."""
        parts = urlsplit(address)
        host = parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, "")).removesuffix(":")
        return cls(f"{parts.scheme}://{host}{parts.path.rstrip('/')}", server, timezone)

    @property
    def quota(self) -> tuple[str, str]:
        """The same for operations that share a quota: it is the server's, whatever their tokens [D+]."""
        return self.address, self.server

    def __str__(self) -> str:
        return f"{self.address} (server code {self.server}, time zone {self.timezone})"


class OtherSource(StoreError):
    """What is stored of the operation came from elsewhere. The message says from where, and the ways out."""


def recorded(con: duckdb.DuckDBPyConnection, operation: str) -> tuple[OperationSource, datetime] | None:
    """Where the operation's data came from, and since when that is recorded (aware); None where it is not."""
    row = con.execute(
        "SELECT address, server, timezone, recorded_at FROM operation_sources WHERE operation = ?",
        [operation],
    ).fetchone()
    return (OperationSource(*row[:3]), row[3].replace(tzinfo=UTC)) if row else None


def all_recorded(con: duckdb.DuckDBPyConnection) -> dict[str, OperationSource]:
    """Where the data of every operation came from, as far as that is recorded."""
    rows = con.execute("SELECT operation, address, server, timezone FROM operation_sources").fetchall()
    return {operation: OperationSource(*source) for operation, *source in rows}


def sharing_quotas(
    con: duckdb.DuckDBPyConnection, sources: Mapping[str, OperationSource]
) -> dict[tuple[str, str], list[str]]:
    """For the quota of each of these operations (by name): the operations whose stored requests were made from it,
    themselves included."""
    stored = {name: source.quota for name, source in all_recorded(con).items()}
    # One that is not recorded, of an older version, is taken to be from there.
    by_name = {name: source.quota for name, source in sources.items()} | stored
    return {
        source.quota: sorted(name for name, quota in by_name.items() if quota == source.quota)
        for source in sources.values()
    }


def objection(con: duckdb.DuckDBPyConnection, operation: str, source: OperationSource) -> str | None:
    """Why nothing from `source` may be stored for this operation, with the ways out; None where it may."""
    found = recorded(con, operation)
    if found is None:
        misfit = _misfit(con, operation, WallClock(source.timezone))
        return misfit and f"{misfit} {_ways_out(operation, keep=False)}"
    if unfinished(con, operation):
        return (
            f"operation {operation}: what is here of it is a copy that is not finished. Nothing was stored. Repeat "
            f"`wolkvox-assets copy`, which goes on where it stopped; or `wolkvox-assets source {operation} --drop` "
            "deletes it."
        )
    if found[0] == source or _nothing_came_of_it(con, operation):
        return None
    return (
        f"operation {operation}: its stored data came from {found[0]}, and now {source} is set. Nothing from there "
        f"was stored; the old data is as it was. {_ways_out(operation, keep=_can_be_kept(con, operation, source))}"
    )


def check(con: duckdb.DuckDBPyConnection, operation: str, source: OperationSource) -> None:
    """Raises `OtherSource` where the stored data of the operation is not from `source`."""
    found = objection(con, operation, source)
    if found is not None:
        raise OtherSource(found)


def claim(con: duckdb.DuckDBPyConnection, operation: str, source: OperationSource) -> str | None:
    """Record that what is stored of the operation, now and from now on, is from `source`. Within a transaction.

    Returns what a person should know of it, if anything. Raises `OtherSource`.
    """
    found = recorded(con, operation)
    if found is not None and found[0] == source:
        return None
    check(con, operation, source)
    remark = None
    if found is not None:
        drop(con, operation)
        remark = (
            f"operation {operation}: {found[0]} was set before, and all its requests failed. "
            f"They were deleted; what is stored from now on is from {source}."
        )
    elif rows_of(con, operation).keys() & {report.names.window_log for report in REPORTS}:
        remark = (
            f"operation {operation}: it was not recorded yet from where its stored data came. It is taken to be from "
            f"{source}; from now on another server or time zone is refused."
        )
    elif others := of_server(con, source) - {operation}:
        remark = same_centre(operation, min(others))
    record(con, operation, source)
    return remark


def of_server(con: duckdb.DuckDBPyConnection, source: OperationSource) -> set[str]:
    """The operations whose stored data came from the same server."""
    return {name for name, other in all_recorded(con).items() if other.quota == source.quota}


def same_centre(operation: str, other: str) -> str:
    """What to do where the contact centre of an operation may be stored as another one, too."""
    command = "wolkvox-assets source"
    return (
        f"What is stored of {other} is from the same server as that of {operation}. If they are one contact centre, "
        f"whoever adds up all operations counts it twice. `{command} {other} --drop` deletes it. To have it as "
        f"{operation}, stop Dagster, then `{command} {operation} --drop` and `{command} {other} --move-to {operation}`."
    )


def claim_before_asking(store: Store, operation: str, source: OperationSource) -> str | None:
    """The same in a transaction of its own, if it is not recorded yet. Raises `OtherSource`, and `StoreError`."""
    with store.reading() as reading:
        found = recorded(reading, operation) if reading else None
    if found is not None and found[0] == source:
        return None
    return store.change(lambda con: claim(con, operation, source))


def record(con: duckdb.DuckDBPyConnection, operation: str, source: OperationSource) -> None:
    """Make this the operation's source, whatever it was."""
    con.execute("DELETE FROM operation_sources WHERE operation = ?", [operation])
    con.execute(
        "INSERT INTO operation_sources VALUES (?, ?, ?, ?, ?)",
        [operation, *source, naive_utc(datetime.now(UTC))],
    )


def record_unfinished(con: duckdb.DuckDBPyConnection, operation: str) -> None:
    """What is stored of the operation is part of a copy: until `record_as` nothing else can be stored for it."""
    record(con, operation, OperationSource(_UNFINISHED, "", "UTC"))


def unfinished(con: duckdb.DuckDBPyConnection, operation: str) -> bool:
    """Whether it is part of a copy, and not all of it is there."""
    found = recorded(con, operation)
    return found is not None and found[0].address == _UNFINISHED


def record_as(con: duckdb.DuckDBPyConnection, operation: str, original: duckdb.DuckDBPyConnection) -> None:
    """Make the operation's source, and since when it is recorded, what it is in `original`: none, too."""
    con.execute("DELETE FROM operation_sources WHERE operation = ?", [operation])
    rows = original.execute("SELECT * FROM operation_sources WHERE operation = ?", [operation]).fetchall()
    for row in rows:
        con.execute("INSERT INTO operation_sources VALUES (?, ?, ?, ?, ?)", row)


def keep(con: duckdb.DuckDBPyConnection, operation: str, source: OperationSource) -> None:
    """Take what is stored of the operation for data from `source`. What was found out about the server before is
    forgotten: it is found out anew. Raises `OtherSource` where its windows are others in that time zone, and where it
    is a copy that is not finished."""
    if unfinished(con, operation):
        raise OtherSource(f"{objection(con, operation, source)}")
    if not _can_be_kept(con, operation, source):
        raise OtherSource(
            f"operation {operation}: its stored data cannot be kept for the time zone {source.timezone}: in it, the "
            "stored windows begin at other moments than those that were requested, so window_start_utc, the hours and "
            f"the days would be wrong. Nothing was changed. {_ways_out(operation, keep=False)}"
        )
    for table in rows_of(con, operation).keys() & _found_out():
        con.execute(f"DELETE FROM {table} WHERE operation = ?", [operation])  # noqa: S608  # named by DuckDB
    forget_quota(con, operation)
    record(con, operation, source)


def move(con: duckdb.DuckDBPyConnection, operation: str, name: str) -> Mapping[str, int]:
    """Give all that is stored of the operation, and its source, another name. Returns how many rows of each table.

    Raises `StoreError` where anything of that name is stored: capitals make no difference.
    """
    taken = [
        other
        for other in operations(con)
        # One that was only set by this name has nothing yet.
        if other.casefold() == name.casefold() and (other != name or rows_of(con, other).keys() != {_SOURCES})
    ]
    if taken:
        raise StoreError(
            f"operation {operation}: there is stored data of an operation {taken[0]} already. Nothing was moved. "
            "Choose another name (capitals make no difference)."
        )
    rows = rows_of(con, operation)
    con.execute("DELETE FROM operation_sources WHERE operation = ?", [name])
    for table in rows:
        con.execute(f"UPDATE {table} SET operation = ? WHERE operation = ?", [name, operation])  # noqa: S608  # named by DuckDB
    return rows


def drop(con: duckdb.DuckDBPyConnection, operation: str) -> Mapping[str, int]:
    """Delete all that is stored of the operation, and its source. Returns how many rows of each table."""
    rows = rows_of(con, operation)
    for table in rows:
        con.execute(f"DELETE FROM {table} WHERE operation = ?", [operation])  # noqa: S608  # named by DuckDB
    return rows


def rows_of(con: duckdb.DuckDBPyConnection, operation: str) -> dict[str, int]:
    """How many rows each table has of the operation, where it has any."""
    counts = {
        table: con.execute(f"SELECT COUNT(*) FROM {table} WHERE operation = ?", [operation]).fetchall()[0][0]  # noqa: S608  # named by DuckDB
        for table in _tables(con)
    }
    return {table: count for table, count in counts.items() if count}


def operations(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Every operation of which anything is stored."""
    names = {
        row[0]
        for table in _tables(con)
        for row in con.execute(f"SELECT DISTINCT operation FROM {table}").fetchall()  # noqa: S608  # named by DuckDB
    }
    return sorted(names)


def _tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Those that have rows of operations; new ones are found without being listed."""
    found = con.execute(
        "SELECT table_name FROM duckdb_tables() JOIN duckdb_columns() USING (database_oid, table_oid, table_name)"
        " WHERE duckdb_tables.database_name = current_database() AND duckdb_tables.schema_name = 'main'"
        " AND column_name = 'operation' ORDER BY table_name"
    ).fetchall()
    return [row[0] for row in found]


def _nothing_came_of_it(con: duckdb.DuckDBPyConnection, operation: str) -> bool:
    """Whether requests were made, and nothing is stored of their answers: a mistyped address, say.

    Where none was made yet, somebody may be about to: then it counts.
    """
    failed = {report.names.failed_attempts for report in REPORTS}
    return rows_of(con, operation).keys() - failed == {"operation_sources", "api_requests"}


def _found_out() -> set[str]:
    """The tables of what was found out about the server, and does not come from the operation; but for its quota."""
    return {
        table
        for names in (report.names for report in REPORTS)
        for table in (
            names.answer_order,
            names.agreements,
            names.left_out,
            names.additivity_proofs,
            names.total_row_verdicts,
            names.failed_attempts,
        )
    }


def _misfit(con: duckdb.DuckDBPyConnection, operation: str, clock: WallClock) -> str | None:
    """What shows that the stored windows were made with another time zone, if anything does."""
    for report in REPORTS:
        moments = Tables(con, operation, report).execute(
            "SELECT DISTINCT window_start, window_start_utc FROM {windows} WHERE operation = $operation"
            " ORDER BY window_start DESC"
        )
        for window, stored in moments.fetchall():
            expected = naive_utc(clock.start_utc(window))
            if stored != expected:
                return (
                    f"operation {operation}: its stored data was made with another time zone than {clock.name}, which "
                    f"is set now: its window of {window:%Y-%m-%d %H:%M} begins at {stored:%Y-%m-%d %H:%M} UTC, and not "
                    f"at {expected:%Y-%m-%d %H:%M} UTC. Nothing new was stored; the old data is as it was."
                )
    return None


def _can_be_kept(con: duckdb.DuckDBPyConnection, operation: str, source: OperationSource) -> bool:
    """Whether every stored window is the same five minutes in the time zone of `source`."""
    found = recorded(con, operation)
    if found is None:
        return _misfit(con, operation, WallClock(source.timezone)) is None
    if found[0].timezone == source.timezone:
        return True
    old, new = WallClock(found[0].timezone), WallClock(source.timezone)
    days = {
        day
        for report in REPORTS
        for (day,) in Tables(con, operation, report)
        .execute("SELECT DISTINCT local_date FROM {window_log} WHERE operation = $operation")
        .fetchall()
    }
    hours = (datetime.combine(day, time()) + timedelta(hours=n) for day in days for n in range(25))
    return all(old.start_utc(h) == new.start_utc(h) and old.end_utc(h) == new.end_utc(h) for h in hours)


def _ways_out(operation: str, *, keep: bool) -> str:
    command = f"wolkvox-assets source {operation}"
    ways = [f"`{command} --move-to NAME` gives it another name", f"`{command} --drop` deletes it"]
    if keep:
        ways.insert(0, f"`{command} --keep` keeps it (the same contact centre, now at another address)")
    return (
        "If the setting is wrong, correct it. Else say what becomes of the old data: "
        + "; ".join(ways)
        + f". `{command}` shows it."
    )
