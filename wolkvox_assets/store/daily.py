"""The daily totals of a report: by agent and by operation, rebuilt from the windows in SQL."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

import pandas as pd

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.store.filled import filled_file
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import credible_until


def nothing_ever(report: Report, windows: int) -> str:
    """What it can mean that no answer ever had a row, in so many known windows."""
    return (
        f"no answer ever had a row: {counted(windows, 'known window')}, all empty, and no day counts as complete. "
        f"Either nobody {report.did}, or the server lacks the report, which answers the same: look at the report "
        "in Wolkvox."
    )


def rebuild_days(
    tables: Tables, windows_expected: Mapping[date, int], now: datetime
) -> dict[date, "DayStatus"]:
    """Make both tables of these days, in any order and with holes, follow the windows.

    `windows_expected`: for each day how many windows its wall clock shows. What was fetched after `now` (aware) is not
    known. Returns what is said now of those of which anything is known: the others have no row.
    """
    found: dict[date, DayStatus] = {}
    for days in _stretches(sorted(windows_expected)):
        first, last = days[0], days[-1]
        for table in ("{agent_days}", "{operation_days}"):
            tables.execute(
                f"DELETE FROM {table} WHERE operation = $operation AND local_date BETWEEN $first AND $last",  # noqa: S608  # of two
                first=first,
                last=last,
            )
        tables.execute(filled_file("agent_days.sql", tables.report), first=first, last=last)
        expected = [windows_expected[day] for day in days]
        tables.con.register("expected", pd.DataFrame({"local_date": days, "windows_expected": expected}))
        tables.execute(
            filled_file("operation_days.sql", tables.report),
            first=first,
            last=last,
            credible=credible_until(now),
        )
        tables.con.unregister("expected")
        found |= _statuses(tables, first, last)
    return found


def days_to_rejudge(tables: Tables, now: datetime) -> set[date]:
    """The days whose totals no longer follow: the operation's first row ever was stored, or its last is gone; or other
    windows are known than were (what was fetched after `now`, aware, is not), since a clock was wrong or is set right.
    """
    rows = tables.execute(
        "WITH known AS (SELECT local_date, COUNT(*)::INTEGER AS windows_known FROM {window_log}"
        "  WHERE operation = $operation AND fetched_at <= $credible GROUP BY local_date),"
        " told AS (SELECT local_date, windows_known, windows_expected, complete FROM {operation_days}"
        "  WHERE operation = $operation)"
        " SELECT local_date FROM told FULL JOIN known USING (local_date)"
        " WHERE told.windows_known IS DISTINCT FROM known.windows_known"
        "  OR complete <> (told.windows_known = windows_expected AND (EXISTS (FROM {windows} WHERE operation ="
        "   $operation) OR EXISTS (FROM {corrections} WHERE operation = $operation)))",
        credible=credible_until(now),
    ).fetchall()
    return {day for (day,) in rows}


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
    """The windows' rows are counted by the totals: a year's are a million."""
    (counts,) = tables.execute(
        "SELECT COALESCE(SUM(active_windows), 0)::BIGINT, COUNT(*), (SELECT COUNT(*) FROM {operation_days}"
        " WHERE operation = $operation) FROM {agent_days} WHERE operation = $operation"
    ).fetchall()
    return RowCounts(*counts)


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


def _statuses(tables: Tables, first: date, last: date) -> dict[date, DayStatus]:
    """What the daily tables say of the days from `first` to `last` (both included) of which anything is known."""
    rows = tables.execute(
        "SELECT local_date, COUNT(agent_name), ANY_VALUE(windows_known), ANY_VALUE(windows_expected),"
        " ANY_VALUE(complete), ANY_VALUE(days.verified_at), [[ANY_VALUE(days.#)]]"
        " FROM {operation_days} AS days"
        " LEFT JOIN {agent_days} AS agents USING (operation, local_date)"
        " WHERE operation = $operation AND local_date BETWEEN $first AND $last GROUP BY local_date",
        first=first,
        last=last,
    ).fetchall()
    return {
        day: DayStatus(agents, known, expected, complete, tables.report.usage(*numbers), verified_at)
        for day, agents, known, expected, complete, verified_at, *numbers in rows
    }
