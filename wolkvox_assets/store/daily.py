"""The daily totals of a report: by agent and by operation, rebuilt from the windows in SQL.

What belongs here: rebuilding and reading the two daily tables. What doesn't: how many windows a day
has (the wall clock's, in `windows.py`, handed in).
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import duckdb
import pandas as pd

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.store.filled import filled, filled_file
from wolkvox_assets.store.windows import credible_until


def nothing_ever(report: Report, windows: int) -> str:
    """What it can mean that no answer ever had a row, in so many known windows."""
    return (
        f"no answer ever had a row: {windows} windows are known, all empty, and no day counts as complete. Either "
        f"nobody {report.did}, or the server lacks the report, which answers the same: look at the report in Wolkvox."
    )


def rebuild_agent_days(
    con: duckdb.DuckDBPyConnection, operation: str, first: date, last: date, *, report: Report = AGENT_9
) -> int:
    """Make the agents' days from `first` to `last` (both included) follow the windows.

    Returns how many rows these days have now.
    """
    sql = filled_file("agent_days.sql", report)
    return _rebuild(con, report.names.agent_days, sql, operation, first, last)


def rebuild_operation_days(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    windows_expected: Mapping[date, int],
    now: datetime,
    *,
    report: Report = AGENT_9,
) -> int:
    """Make the operation's rows of these days follow the windows.

    `windows_expected`: for each day (without holes) how many windows its wall clock shows. A day of
    which no window is known has no row; what was fetched after `now` (aware) is not known. Returns how many rows
    these days have now.
    """
    expected = pd.DataFrame(
        {"local_date": list(windows_expected), "windows_expected": list(windows_expected.values())}
    )
    con.register("expected", expected)
    first, last = min(windows_expected), max(windows_expected)
    table, sql = report.names.operation_days, filled_file("operation_days.sql", report)
    rows = _rebuild(con, table, sql, operation, first, last, credible=credible_until(now))
    con.unregister("expected")
    return rows


def rebuild_days(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    windows_expected: Mapping[date, int],
    now: datetime,
    *,
    report: Report = AGENT_9,
) -> dict[date, "DayStatus"]:
    """Make both tables of these days, in any order and with holes, follow the windows.

    `windows_expected`, `now`: see `rebuild_operation_days`. Returns what is said now of those of which anything is
    known.
    """
    found: dict[date, DayStatus] = {}
    for days in _stretches(sorted(windows_expected)):
        expected = {day: windows_expected[day] for day in days}
        rebuild_agent_days(con, operation, days[0], days[-1], report=report)
        rebuild_operation_days(con, operation, expected, now, report=report)
        found |= day_statuses(con, operation, days[0], days[-1], report=report)
    return found


def days_to_rejudge(
    con: duckdb.DuckDBPyConnection, operation: str, now: datetime, *, report: Report = AGENT_9
) -> set[date]:
    """The days whose totals no longer follow: the operation's first row ever was stored, or its last is gone; or other
    windows are known than were (what was fetched after `now`, aware, is not), since a clock was wrong or is set right.
    """
    rows = con.execute(
        filled(
            "WITH known AS (SELECT local_date, COUNT(*)::INTEGER AS windows_known FROM {window_log}"
            "  WHERE operation = $operation AND fetched_at <= $credible GROUP BY local_date),"
            " told AS (SELECT local_date, windows_known, windows_expected, complete FROM {operation_days}"
            "  WHERE operation = $operation)"
            " SELECT local_date FROM told FULL JOIN known USING (local_date)"
            " WHERE told.windows_known IS DISTINCT FROM known.windows_known"
            "  OR complete <> (told.windows_known = windows_expected AND (EXISTS (FROM {windows} WHERE operation ="
            "   $operation) OR EXISTS (FROM {corrections} WHERE operation = $operation)))",
            report,
        ),
        {"operation": operation, "credible": credible_until(now)},
    ).fetchall()
    return {day for (day,) in rows}


def known_without_a_row(con: duckdb.DuckDBPyConnection, operation: str, *, report: Report = AGENT_9) -> int:
    """How many windows are known, where no answer ever had a row; else 0."""
    found = con.execute(
        filled(
            "SELECT COUNT(*) FROM {window_log} WHERE operation = $operation"
            " AND NOT EXISTS (FROM {windows} WHERE operation = $operation)"
            " AND NOT EXISTS (FROM {corrections} WHERE operation = $operation)",
            report,
        ),
        {"operation": operation},
    ).fetchone()
    return int(found[0]) if found else 0


class RowCounts(NamedTuple):
    """How many rows an operation has of a report's windows, of its agents' days and of its own."""

    windows: int
    agent_days: int
    operation_days: int


def row_counts(con: duckdb.DuckDBPyConnection, operation: str, *, report: Report = AGENT_9) -> RowCounts:
    """Of this operation. The windows' rows are counted by the totals: a year's are a million."""
    found = con.execute(
        filled(
            "SELECT COALESCE(SUM(active_windows), 0)::BIGINT, COUNT(*), (SELECT COUNT(*) FROM {operation_days}"
            " WHERE operation = $operation) FROM {agent_days} WHERE operation = $operation",
            report,
        ),
        {"operation": operation},
    ).fetchone()
    assert found is not None  # noqa: S101  # an aggregate has one row
    return RowCounts(*found)


def _stretches(days: Sequence[date]) -> list[list[date]]:
    """The days in ranges without holes."""
    ranges: list[list[date]] = []
    for day in days:
        if ranges and (day - ranges[-1][-1]).days == 1:
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return ranges


def _rebuild(
    con: duckdb.DuckDBPyConnection,
    table: str,
    sql: str,
    operation: str,
    first: date,
    last: date,
    **more: datetime,
) -> int:
    days: dict[str, object] = {"operation": operation, "first": first, "last": last}
    these = f"FROM {table} WHERE operation = $operation AND local_date BETWEEN $first AND $last"
    con.execute(f"DELETE {these}", days)
    con.execute(sql, days | more)
    found = con.execute(f"SELECT COUNT(*) {these}", days).fetchone()
    return int(found[0]) if found else 0


class DayStatus(NamedTuple):
    """A day of one operation in a line. `agents`: rows of the day by agent. `usage`: of all of them. `verified_at`:
    when its windows were found equal to the API, the longest ago of them (UTC, naive).
    """

    agents: int
    windows_known: int
    windows_expected: int
    complete: bool
    usage: Usage
    verified_at: datetime | None = None


def day_statuses(
    con: duckdb.DuckDBPyConnection, operation: str, first: date, last: date, *, report: Report = AGENT_9
) -> dict[date, DayStatus]:
    """What the daily tables say of the days from `first` to `last` (both included) of which anything is known."""
    rows = con.execute(
        filled(
            "SELECT local_date, COUNT(agent_name), ANY_VALUE(windows_known), ANY_VALUE(windows_expected),"
            " ANY_VALUE(complete), ANY_VALUE(days.verified_at), [[ANY_VALUE(days.#)]]"
            " FROM {operation_days} AS days"
            " LEFT JOIN {agent_days} AS agents USING (operation, local_date)"
            " WHERE operation = $operation AND local_date BETWEEN $first AND $last GROUP BY local_date",
            report,
        ),
        {"operation": operation, "first": first, "last": last},
    ).fetchall()
    return {
        day: DayStatus(agents, known, expected, complete, report.usage(*numbers), verified_at)
        for day, agents, known, expected, complete, verified_at, *numbers in rows
    }
