"""What was learnt of ranges by asking them: those that agreed with their windows, and windows left out for now.

What belongs here: writing and reading the tables of agreements and of windows left out. What doesn't: finding it out
(`sync/`). It is recorded as it is found: times of requests say nothing of what became of them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range, one
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.windows import naive_utc

# How long a window that can't be had rests: this, and twice as long each time it is tried in vain.
_FIRST_REST = timedelta(minutes=15)
_DOUBLINGS = 7  # 15 minutes to a day and a third

EVERYTHING = Range(datetime(1, 1, 1), datetime(9999, 1, 1))


def record_agreement(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    range_: Range,
    verified_at: datetime,
    *,
    report: Report = AGENT_9,
) -> None:
    """Note that this very range was asked, and agreed at `verified_at` (aware) with what is stored of it.

    Not where a window of it was stored after that: of that nobody knows.
    """
    span = {"operation": operation, "start": range_.start, "end": range_.end}
    con.execute(
        filled(
            "DELETE FROM {agreements} WHERE operation = $operation AND range_start = $start AND range_end = $end",
            report,
        ),
        span,
    )
    con.execute(
        filled(
            "INSERT INTO {agreements} SELECT $operation, $start, $end, $at WHERE NOT EXISTS ("
            " FROM {window_log} WHERE operation = $operation AND window_start >= $start AND window_start < $end"
            " AND fetched_at > $at)",
            report,
        ),
        {**span, "at": naive_utc(verified_at)},
    )


def forget_agreements(
    con: duckdb.DuckDBPyConnection, operation: str, ranges: Sequence[Range], *, report: Report = AGENT_9
) -> None:
    """What agreed with these windows says nothing once they are replaced, or forgotten."""
    for range_ in ranges:
        con.execute(
            filled(
                "DELETE FROM {agreements} WHERE operation = $operation AND range_start < $end AND range_end > $start",
                report,
            ),
            {"operation": operation, "start": range_.start, "end": range_.end},
        )


def agreed_hours(
    con: duckdb.DuckDBPyConnection, operation: str, range_: Range, *, report: Report = AGENT_9
) -> set[datetime]:
    """The starts of the hours of this range that were asked and agreed with all their windows."""
    rows = con.execute(
        filled(
            "SELECT range_start FROM {agreements} WHERE operation = $operation"
            " AND range_start > $start - INTERVAL 1 HOUR AND range_start < $end"
            " AND date_trunc('hour', range_start) = range_start AND range_end = range_start + INTERVAL 1 HOUR",
            report,
        ),
        {"operation": operation, "start": range_.start, "end": range_.end},
    ).fetchall()
    return {row[0] for row in rows}


def leave_out(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    range_: Range,
    reason: str,
    tried_at: datetime,
    *,
    report: Report = AGENT_9,
) -> None:
    """Note that these windows could not be had at `tried_at` (aware)."""
    for window in range_.windows():
        about = {"operation": operation, "window": window}
        before = con.execute(
            filled(
                "SELECT MAX(times) FROM {left_out} WHERE operation = $operation AND window_start = $window",
                report,
            ),
            about,
        ).fetchone()
        take_in(con, operation, one(window), report=report)
        con.execute(
            filled("INSERT INTO {left_out} VALUES ($operation, $window, $times, $at, $reason)", report),
            {
                **about,
                "times": ((before and before[0]) or 0) + 1,
                "at": naive_utc(tried_at),
                "reason": reason[:2000],
            },
        )


def take_in(
    con: duckdb.DuckDBPyConnection, operation: str, range_: Range, *, report: Report = AGENT_9
) -> None:
    """These windows are no longer left out: they were had."""
    con.execute(
        filled(
            "DELETE FROM {left_out}"
            " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
            report,
        ),
        {"operation": operation, "start": range_.start, "end": range_.end},
    )


def resting(
    con: duckdb.DuckDBPyConnection, operation: str, now: datetime, *, report: Report = AGENT_9
) -> set[datetime]:
    """The windows that are left out at `now` (aware): a quarter of an hour, and longer each time, up to a day or so."""
    rows = con.execute(
        filled("SELECT window_start, times, tried_at FROM {left_out} WHERE operation = $operation", report),
        {"operation": operation},
    ).fetchall()
    at = naive_utc(now)
    # One tried in the future was tried by a clock that was wrong.
    return {
        window
        for window, times, tried in rows
        if tried <= at < tried + _FIRST_REST * (1 << min(times - 1, _DOUBLINGS))
    }
