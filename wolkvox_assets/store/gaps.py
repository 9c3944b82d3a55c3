"""What is not as it should be, read from the tables: windows that are not known, or may have changed since.

What belongs here: finding it, in milliseconds for a year. What doesn't: what is done about it
(`duties.py`, `automation/`).
"""

from datetime import datetime, timedelta

import duckdb

from wolkvox_assets.windows import WINDOW, Range


def holes(con: duckdb.DuckDBPyConnection, operation: str, start: datetime, end: datetime) -> list[Range]:
    """The stretches from `start` to before `end` (wall clock) without a known window, newest first.

    An hour that the clock skips is a hole like any other: only the wall clock knows better.
    """
    rows = con.execute(
        "WITH known AS ("
        " SELECT window_start FROM agent_9_window_log"
        "  WHERE operation = $operation AND window_start >= $start AND window_start < $end"
        " UNION ALL SELECT $start - INTERVAL 5 MINUTE UNION ALL SELECT $end"
        "), pairs AS (SELECT window_start, LEAD(window_start) OVER (ORDER BY window_start) AS following FROM known)"
        " SELECT window_start, following FROM pairs WHERE following > window_start + INTERVAL 5 MINUTE"
        " ORDER BY window_start DESC",
        {"operation": operation, "start": start, "end": end},
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


def asked_in_vain(con: duckdb.DuckDBPyConnection, operation: str, since: datetime) -> set[datetime]:
    """The known windows that were asked by themselves since then (UTC, naive) and are not verified by it: what
    the API answers for them can't be used."""
    rows = con.execute(
        "WITH asked AS ("
        " SELECT strptime(date_ini, '%Y%m%d%H%M%S') AS window_start, MAX(requested_at) AS requested_at"
        "  FROM api_requests WHERE operation = $operation AND api = 'agent_9' AND requested_at > $since"
        "  AND strptime(date_end, '%Y%m%d%H%M%S') - strptime(date_ini, '%Y%m%d%H%M%S') < INTERVAL 5 MINUTE"
        "  GROUP BY date_ini)"
        " SELECT window_start FROM asked JOIN agent_9_window_log AS log USING (window_start)"
        " WHERE log.operation = $operation AND log.verified_at < asked.requested_at",
        {"operation": operation, "since": since},
    ).fetchall()
    return {row[0] for row in rows}
