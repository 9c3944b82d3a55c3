"""What is not as it should be, read from the tables: windows that are not known, or may have changed since.

What belongs here: finding it, in milliseconds for a year. What doesn't: what is done about it
(`duties.py`, `automation/`).
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import duckdb

from wolkvox_assets.windows import WINDOW, Range


def holes(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    start: datetime,
    end: datetime,
    but: Collection[datetime] = (),
) -> list[Range]:
    """The stretches from `start` to before `end` (wall clock) without a known window, newest first.

    `but`: windows that count as known. An hour that the clock skips is a hole like any other: only the
    wall clock knows better.
    """
    rows = con.execute(
        "WITH known AS ("
        " SELECT window_start FROM agent_9_window_log"
        "  WHERE operation = $operation AND window_start >= $start AND window_start < $end"
        " UNION ALL SELECT unnest($but::TIMESTAMP[])"
        " UNION ALL SELECT $start - INTERVAL 5 MINUTE UNION ALL SELECT $end"
        "), pairs AS (SELECT window_start, LEAD(window_start) OVER (ORDER BY window_start) AS following FROM known)"
        " SELECT window_start, following FROM pairs WHERE following > window_start + INTERVAL 5 MINUTE"
        " ORDER BY window_start DESC",
        {"operation": operation, "start": start, "end": end, "but": [w for w in but if start <= w < end]},
    ).fetchall()
    return [Range(known + WINDOW, following) for known, following in rows]


def verified(
    con: duckdb.DuckDBPyConnection, operation: str, start: datetime, end: datetime
) -> dict[datetime, datetime]:
    """The known windows from `start` to before `end` (wall clock), and when each was verified (UTC, naive)."""
    rows = con.execute(
        "SELECT window_start, verified_at FROM agent_9_window_log"
        " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
        {"operation": operation, "start": start, "end": end},
    ).fetchall()
    return dict(rows)


def perhaps_unsettled(
    con: duckdb.DuckDBPyConnection, operation: str, before: datetime, later: timedelta
) -> dict[datetime, datetime]:
    """The known windows before that moment (wall clock) that were not verified so much later (UTC)."""
    rows = con.execute(
        "SELECT window_start, verified_at FROM agent_9_window_log WHERE operation = $operation"
        " AND window_start < $before AND verified_at < window_start + $later ORDER BY window_start",
        {"operation": operation, "before": before, "later": later},
    ).fetchall()
    return dict(rows)
