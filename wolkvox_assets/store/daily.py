"""The daily totals of a report: by agent and by operation, rebuilt from the windows in SQL."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple

import duckdb
import pandas as pd

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.store.filled import filled, filled_file
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import credible_until


def nothing_ever(report: Report, windows: int) -> str:
    """What it can mean that no answer ever had a row, in so many known windows."""
    return (
        f"no answer ever had a row: {counted(windows, 'known window')}, all empty, and no day counts as complete. "
        f"Either nobody {report.did}, or the server lacks the report, which answers the same: look at the report "
        "in Wolkvox."
    )


class Days(NamedTuple):
    """Of one operation. `windows_expected`: for each day how many windows its wall clock shows. `now` (aware): what was
    fetched after it is not known."""

    windows_expected: Mapping[date, int]
    now: datetime


def rebuild_days(
    tables: Tables, windows_expected: Mapping[date, int], now: datetime
) -> dict[date, "DayStatus"]:
    """`rebuild_days_of` one operation."""
    days = {tables.operation: Days(windows_expected, now)}
    return rebuild_days_of(tables.con, tables.report, days)[tables.operation]


def rebuild_days_of(
    con: duckdb.DuckDBPyConnection, report: Report, days: Mapping[str, Days]
) -> dict[str, dict[date, "DayStatus"]]:
    """Make both tables of these days, in any order and with holes, follow the windows. In a lake, forty operations
    together take hardly longer than one.

    Returns what is said now of those of which anything is known: the others have no row.
    """
    # A table of the same shape: whether a day is complete depends on others of them as well.
    con.execute(filled("CREATE OR REPLACE TEMP TABLE rebuilt AS FROM {operation_days} LIMIT 0", report))
    for stretch in _stretches(sorted({day for its in days.values() for day in its.windows_expected})):
        bounds = {"first": stretch[0], "last": stretch[-1]}
        con.register("expected", _expected(days, stretch))
        for table in ("{agent_days}", "{operation_days}"):
            con.execute(
                filled(f"DELETE FROM {table} WHERE local_date BETWEEN $first AND $last", report)  # noqa: S608  # of two
                + " AND (operation, local_date) IN (SELECT operation, local_date FROM expected)",
                bounds,
            )
        con.execute(filled_file("agent_days.sql", report), bounds)
        con.execute(filled_file("operation_days.sql", report), bounds)
        con.unregister("expected")
    con.execute(
        filled(
            # Where no answer ever had a row, nobody can tell a quiet operation from a server that lacks the report.
            "UPDATE rebuilt SET complete = false WHERE operation NOT IN ("  # noqa: S608  # fixed words
            f"SELECT operation FROM rebuilt WHERE agents > 0 UNION ALL {_WITH_A_ROW});"
            "INSERT INTO {operation_days} BY NAME FROM rebuilt",
            report,
        )
    )
    found: dict[str, dict[date, DayStatus]] = {operation: {} for operation in days}
    rows = con.execute(
        filled(
            "SELECT operation, local_date, agents, windows_known, windows_expected, complete, verified_at, [[#]]"
            " FROM rebuilt",
            report,
        )
    ).fetchall()
    for operation, day, agents, known, expected, complete, verified_at, *numbers in rows:
        usage = report.usage(*numbers)
        found[operation][day] = DayStatus(agents, known, expected, complete, usage, verified_at)
    return found


def _expected(days: Mapping[str, Days], of: Collection[date]) -> pd.DataFrame:
    rows = [
        (operation, day, windows, credible_until(now))
        for operation, (expected, now) in days.items()
        for day, windows in expected.items()
        if day in of
    ]
    return pd.DataFrame(rows, columns=["operation", "local_date", "windows_expected", "credible"])


# Once the totals follow the windows.
_WITH_A_ROW = (
    "SELECT operation FROM {operation_days} WHERE agents > 0 UNION ALL SELECT operation FROM {corrections}"
)


def with_a_row(con: duckdb.DuckDBPyConnection, report: Report) -> set[str]:
    """The operations of which any answer ever had a row."""
    return {operation for (operation,) in con.execute(filled(_WITH_A_ROW, report)).fetchall()}


def days_to_rejudge(
    con: duckdb.DuckDBPyConnection, report: Report, now: Mapping[str, datetime]
) -> dict[str, set[date]]:
    """By operation, the days whose totals no longer follow, although those of all days that were changed do: the
    operation's first row ever was stored, or its last is gone; or other windows are known than were (what was fetched
    after `now`, aware, is not), since a clock was wrong or is set right.
    """
    con.register(
        "moments",
        pd.DataFrame([(o, credible_until(at)) for o, at in now.items()], columns=["operation", "credible"]),
    )
    rows = con.execute(
        filled(
            "WITH known AS (SELECT operation, local_date,"  # noqa: S608  # fixed words
            "  COUNT(*) FILTER (fetched_at <= credible)::INTEGER AS windows_known"
            "  FROM {window_log} JOIN moments USING (operation) GROUP BY ALL),"
            " told AS (SELECT operation, local_date, windows_known, windows_expected, complete"
            "  FROM {operation_days} SEMI JOIN moments USING (operation))"
            " SELECT operation, local_date FROM told FULL JOIN known USING (operation, local_date)"
            " WHERE told.windows_known IS DISTINCT FROM known.windows_known OR complete <> ("
            f"  told.windows_known = windows_expected AND operation IN ({_WITH_A_ROW}))",
            report,
        )
    ).fetchall()
    con.unregister("moments")
    found: dict[str, set[date]] = {operation: set() for operation in now}
    for operation, day in rows:
        found[operation].add(day)
    return found


def known_without_a_row(tables: Tables) -> int:
    """How many windows are known, where no answer ever had a row; else 0."""
    ((windows,),) = tables.execute(
        "SELECT COUNT(*) FROM {window_log} WHERE operation = $operation"
        " AND NOT EXISTS (FROM {windows} WHERE operation = $operation)"
        " AND NOT EXISTS (FROM {corrections} WHERE operation = $operation)"
    ).fetchall()
    return int(windows)


class RowCounts(NamedTuple):
    """How many rows an operation has of a report's windows, of its agents' days and of its own."""

    windows: int
    agent_days: int
    operation_days: int


def row_counts(tables: Tables) -> RowCounts:
    """Of one operation."""
    return row_counts_of(tables.con, tables.report, [tables.operation])[tables.operation]


def row_counts_of(
    con: duckdb.DuckDBPyConnection, report: Report, operations: Iterable[str]
) -> dict[str, RowCounts]:
    """By operation. The windows' rows are counted by the totals: a year's are a million."""
    con.register("those", pd.DataFrame({"operation": pd.Series(list(operations), dtype=object)}))
    rows = con.execute(
        filled(
            "WITH agents AS (SELECT operation, SUM(active_windows)::BIGINT AS windows, COUNT(*) AS rows"
            "  FROM {agent_days} SEMI JOIN those USING (operation) GROUP BY ALL),"
            " days AS (SELECT operation, COUNT(*) AS rows FROM {operation_days} SEMI JOIN those USING (operation)"
            "  GROUP BY ALL)"
            " SELECT operation, COALESCE(windows, 0), COALESCE(agents.rows, 0), COALESCE(days.rows, 0)"
            " FROM those LEFT JOIN agents USING (operation) LEFT JOIN days USING (operation)",
            report,
        )
    ).fetchall()
    con.unregister("those")
    return {operation: RowCounts(*counts) for operation, *counts in rows}


def _stretches(days: list[date]) -> list[list[date]]:
    """The days in ranges without holes."""
    ranges: list[list[date]] = []
    for day in days:
        if ranges and (day - ranges[-1][-1]).days == 1:
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return ranges


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
