"""What was learnt of ranges by asking them: those that agreed with their windows, and windows left out for now.

It is recorded as it is found: times of requests say nothing of what became of them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.windows import Range
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import Checked, checked_ranges, naive_utc

# How long a window that can't be had rests: this, and twice as long each time it is tried in vain.
_FIRST_REST = timedelta(minutes=15)
_DOUBLINGS = 7  # 15 minutes to a day and a third

EVERYTHING = Range(datetime(1, 1, 1), datetime(9999, 1, 1))


def record_agreements(con: duckdb.DuckDBPyConnection, report: Report, checked: Mapping[str, Checked]) -> None:
    """Note that these very ranges, one of each operation, were asked, and agreed with what is stored of them.

    Not where a window of it was stored after that: of that nobody knows.
    """
    con.register("checked", checked_ranges(checked))
    con.execute(
        filled(
            "DELETE FROM {agreements} WHERE (operation, range_start, range_end) IN"
            " (SELECT operation, first, until FROM checked);"
            "INSERT INTO {agreements} FROM checked WHERE NOT EXISTS ("
            " FROM {window_log} AS log WHERE log.operation = checked.operation"
            " AND window_start >= checked.first AND window_start < checked.until AND fetched_at > found_at)",
            report,
        )
    )
    con.unregister("checked")


def forget_agreements(tables: Tables, ranges: Sequence[Range]) -> None:
    """What agreed with these windows says nothing once they are replaced, or forgotten."""
    for range_ in ranges:
        tables.execute(
            "DELETE FROM {agreements} WHERE operation = $operation AND range_start < $end AND range_end > $start",
            start=range_.start,
            end=range_.end,
        )


def with_agreements(con: duckdb.DuckDBPyConnection, report: Report, ranges: Sequence[Range]) -> set[str]:
    """The operations of which anything agreed between the first and the last of these ranges."""
    if not ranges:
        return set()
    rows = con.execute(
        filled(
            "SELECT DISTINCT operation FROM {agreements} WHERE range_start < $end AND range_end > $start",
            report,
        ),
        {"start": min(range_.start for range_ in ranges), "end": max(range_.end for range_ in ranges)},
    ).fetchall()
    return {operation for (operation,) in rows}


def with_windows_left_out(con: duckdb.DuckDBPyConnection, report: Report) -> set[str]:
    """The operations of which any window is left out."""
    rows = con.execute(filled("SELECT DISTINCT operation FROM {left_out}", report)).fetchall()
    return {operation for (operation,) in rows}


def agreed_hours(tables: Tables, range_: Range) -> set[datetime]:
    """The starts of the hours of this range that were asked and agreed with all their windows."""
    rows = tables.execute(
        "SELECT range_start FROM {agreements} WHERE operation = $operation"
        " AND range_start > $start - INTERVAL 1 HOUR AND range_start < $end"
        " AND date_trunc('hour', range_start) = range_start AND range_end = range_start + INTERVAL 1 HOUR",
        start=range_.start,
        end=range_.end,
    ).fetchall()
    return {start for (start,) in rows}


def leave_out(tables: Tables, range_: Range, reason: str, tried_at: datetime) -> None:
    """Note that these windows could not be had at `tried_at` (aware)."""
    earlier = tables.execute(
        "SELECT window_start, times FROM {left_out}"
        " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
        start=range_.start,
        end=range_.end,
    ).fetchall()
    times = dict(earlier)
    take_in(tables, range_)
    for window in range_.windows():
        tables.execute(
            "INSERT INTO {left_out} VALUES ($operation, $window, $times, $at, $reason)",
            window=window,
            times=times.get(window, 0) + 1,
            at=naive_utc(tried_at),
            reason=reason[:2000],
        )


def take_in(tables: Tables, range_: Range) -> None:
    """These windows are no longer left out: they were had."""
    tables.execute(
        "DELETE FROM {left_out} WHERE operation = $operation AND window_start >= $start AND window_start < $end",
        start=range_.start,
        end=range_.end,
    )


def resting(con: duckdb.DuckDBPyConnection, report: Report, now: datetime) -> Mapping[str, set[datetime]]:
    """By operation, the windows that are left out at `now` (aware): a quarter of an hour, and longer each time, up to a
    day or so.
    """
    rows = con.execute(
        filled("SELECT operation, window_start, times, tried_at FROM {left_out}", report)
    ).fetchall()
    at = naive_utc(now)
    found: dict[str, set[datetime]] = defaultdict(set)
    for operation, window, times, tried in rows:
        # One tried in the future was tried by a clock that was wrong.
        if tried <= at < tried + _FIRST_REST * (1 << min(times - 1, _DOUBLINGS)):
            found[operation].add(window)
    return found
