"""The daily totals: by agent and by operation, rebuilt from the windows in SQL.

What belongs here: rebuilding and reading the two daily tables. What doesn't: how many windows a day
has (the wall clock's, in `windows.py`, handed in).
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from importlib import resources
from typing import NamedTuple

import duckdb
import pandas as pd

from wolkvox_assets.store.agent_9 import credible_until

NOTHING_EVER = (
    "no answer ever had a row: {windows} windows are known, all empty, and no day counts as complete. Either nobody "
    "used hold or mute, or the server lacks the report, which answers the same: look at the report in Wolkvox."
)


def rebuild_agent_days(con: duckdb.DuckDBPyConnection, operation: str, first: date, last: date) -> int:
    """Make `agent_hold_mute_daily` of the days from `first` to `last` (both included) follow the windows.

    Returns how many rows these days have now.
    """
    return _rebuild(con, "agent_hold_mute_daily", operation, first, last)


def rebuild_operation_days(
    con: duckdb.DuckDBPyConnection, operation: str, windows_expected: Mapping[date, int], now: datetime
) -> int:
    """Make `operation_hold_mute_daily` of these days follow the windows.

    `windows_expected`: for each day (without holes) how many windows its wall clock shows. A day of
    which no window is known has no row; what was fetched after `now` (aware) is not known. Returns how many rows
    these days have now.
    """
    expected = pd.DataFrame(
        {"local_date": list(windows_expected), "windows_expected": list(windows_expected.values())}
    )
    con.register("expected", expected)
    first, last = min(windows_expected), max(windows_expected)
    rows = _rebuild(con, "operation_hold_mute_daily", operation, first, last, credible=credible_until(now))
    con.unregister("expected")
    return rows


def rebuild_days(
    con: duckdb.DuckDBPyConnection, operation: str, windows_expected: Mapping[date, int], now: datetime
) -> dict[date, "DayStatus"]:
    """Make both tables of these days, in any order and with holes, follow the windows.

    `windows_expected`, `now`: see `rebuild_operation_days`. Returns what is said now of those of which anything is
    known.
    """
    found: dict[date, DayStatus] = {}
    for days in _stretches(sorted(windows_expected)):
        rebuild_agent_days(con, operation, days[0], days[-1])
        rebuild_operation_days(con, operation, {day: windows_expected[day] for day in days}, now)
        found |= day_statuses(con, operation, days[0], days[-1])
    return found


def days_to_rejudge(con: duckdb.DuckDBPyConnection, operation: str, now: datetime) -> set[date]:
    """The days whose totals no longer follow: the operation's first row ever was stored, or its last is gone; or other
    windows are known than were (what was fetched after `now`, aware, is not), since a clock was wrong or is set right.
    """
    rows = con.execute(
        "WITH known AS (SELECT local_date, COUNT(*)::INTEGER AS windows_known FROM agent_9_window_log"
        "  WHERE operation = $operation AND fetched_at <= $credible GROUP BY local_date),"
        " told AS (SELECT local_date, windows_known, windows_expected, complete FROM operation_hold_mute_daily"
        "  WHERE operation = $operation)"
        " SELECT local_date FROM told FULL JOIN known USING (local_date)"
        " WHERE told.windows_known IS DISTINCT FROM known.windows_known"
        "  OR complete <> (told.windows_known = windows_expected AND (EXISTS (FROM agent_9_windows WHERE operation ="
        "   $operation) OR EXISTS (FROM agent_9_corrections WHERE operation = $operation)))",
        {"operation": operation, "credible": credible_until(now)},
    ).fetchall()
    return {day for (day,) in rows}


def known_without_a_row(con: duckdb.DuckDBPyConnection, operation: str) -> int:
    """How many windows are known, where no answer ever had a row; else 0."""
    found = con.execute(
        "SELECT COUNT(*) FROM agent_9_window_log WHERE operation = $operation"
        " AND NOT EXISTS (FROM agent_9_windows WHERE operation = $operation)"
        " AND NOT EXISTS (FROM agent_9_corrections WHERE operation = $operation)",
        {"operation": operation},
    ).fetchone()
    return int(found[0]) if found else 0


class RowCounts(NamedTuple):
    """How many rows an operation has in each of the three tables."""

    agent_9_windows: int
    agent_hold_mute_daily: int
    operation_hold_mute_daily: int


def row_counts(con: duckdb.DuckDBPyConnection, operation: str) -> RowCounts:
    """Of this operation. The windows' rows are counted by the totals: a year's are a million."""
    found = con.execute(
        "SELECT COALESCE(SUM(active_windows), 0)::BIGINT, COUNT(*), (SELECT COUNT(*) FROM operation_hold_mute_daily"
        " WHERE operation = $operation) FROM agent_hold_mute_daily WHERE operation = $operation",
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
    con: duckdb.DuckDBPyConnection, table: str, operation: str, first: date, last: date, **more: datetime
) -> int:
    days: dict[str, object] = {"operation": operation, "first": first, "last": last}
    these = f"FROM {table} WHERE operation = $operation AND local_date BETWEEN $first AND $last"
    con.execute(f"DELETE {these}", days)
    con.execute(resources.files(__package__).joinpath(f"{table}.sql").read_text("utf-8"), days | more)
    found = con.execute(f"SELECT COUNT(*) {these}", days).fetchone()
    return int(found[0]) if found else 0


class DayStatus(NamedTuple):
    """A day of one operation in a line. `agents`: rows of the day in `agent_hold_mute_daily`. `verified_at`: when its
    windows were found equal to the API, the longest ago of them (UTC, naive).
    """

    agents: int
    windows_known: int
    windows_expected: int
    complete: bool
    hold_mute_count: int
    hold_seconds: int
    mute_seconds: int
    verified_at: datetime | None = None


def day_statuses(
    con: duckdb.DuckDBPyConnection, operation: str, first: date, last: date
) -> dict[date, DayStatus]:
    """What the daily tables say of the days from `first` to `last` (both included) of which anything is known."""
    rows = con.execute(
        "SELECT local_date, COUNT(agent_name), ANY_VALUE(windows_known), ANY_VALUE(windows_expected),"
        " ANY_VALUE(complete), ANY_VALUE(days.hold_mute_count), ANY_VALUE(days.hold_seconds),"
        " ANY_VALUE(days.mute_seconds), ANY_VALUE(days.verified_at)"
        " FROM operation_hold_mute_daily AS days"
        " LEFT JOIN agent_hold_mute_daily AS agents USING (operation, local_date)"
        " WHERE operation = $operation AND local_date BETWEEN $first AND $last GROUP BY local_date",
        {"operation": operation, "first": first, "last": last},
    ).fetchall()
    return {day: DayStatus(*numbers) for day, *numbers in rows}
