"""What was found out about an operation's API: whether answers add up, and how much quota was left.

What belongs here: writing and reading `additivity_proofs` and `quota_readings`. What doesn't: finding it
out (`sync/`, `quota.py`), and how long a verdict is good for (the caller's).
"""

from datetime import UTC, datetime
from typing import NamedTuple

import duckdb

from wolkvox_assets.store.agent_9 import naive_utc


class Verdict(NamedTuple):
    """Whether an aggregate over a range was the sum over its parts. `proved_at`: aware."""

    proved_at: datetime
    holds: bool
    evidence: str


class QuotaReading(NamedTuple):
    """A look at the day's quota. `read_at`: aware. `used`: requests, by all tokens of the operation."""

    read_at: datetime
    limit: int
    used: int


def record_verdict(con: duckdb.DuckDBPyConnection, operation: str, verdict: Verdict, *, run_id: str) -> None:
    con.execute(
        "INSERT INTO additivity_proofs VALUES (?, ?, ?, ?, ?)",
        [operation, naive_utc(verdict.proved_at), verdict.holds, verdict.evidence, run_id],
    )


def latest_verdict(con: duckdb.DuckDBPyConnection, operation: str) -> Verdict | None:
    """The one that counts, or None where additivity was never tried."""
    # The last one stored, not the latest moment: clocks are set back and ahead.
    row = con.execute(
        "SELECT proved_at, holds, evidence FROM additivity_proofs WHERE operation = ?"
        " ORDER BY rowid DESC LIMIT 1",
        [operation],
    ).fetchone()
    return Verdict(row[0].replace(tzinfo=UTC), row[1], row[2]) if row else None


def record_quota(
    con: duckdb.DuckDBPyConnection, operation: str, reading: QuotaReading, *, run_id: str
) -> None:
    con.execute(
        "INSERT INTO quota_readings VALUES (?, ?, ?, ?, ?)",
        [operation, naive_utc(reading.read_at), reading.limit, reading.used, run_id],
    )


def latest_quota(con: duckdb.DuckDBPyConnection, operation: str) -> tuple[QuotaReading, int] | None:
    """The reading stored last, and how many requests of ours were made since; None where there was none.

    Of all operations: those that share a quota can't be told apart here, and who counts too many looks again.
    """
    row = con.execute(
        "SELECT read_at, daily_limit, used_today FROM quota_readings WHERE operation = ?"
        " ORDER BY rowid DESC LIMIT 1",
        [operation],
    ).fetchone()
    if row is None:
        return None
    since = con.execute("SELECT COUNT(*) FROM api_requests WHERE requested_at > ?", [row[0]]).fetchone()
    return QuotaReading(row[0].replace(tzinfo=UTC), row[1], row[2]), since[0] if since else 0


def quota_asked_in_vain_at(con: duckdb.DuckDBPyConnection, operation: str) -> datetime | None:
    """When the server last answered `token_info` (aware), if there was no reading in it; None if there was."""
    # Of all else it is known that it passes, or that nothing works at all: refusals, faults, also within a 200,
    # and answers that were cut off.
    row = con.execute(
        "SELECT MAX(requested_at) FROM api_requests"
        " WHERE operation = $operation AND api = 'token_info'"
        "  AND (code IN ('200', '400', '404') OR code IS NULL AND http_status IN (400, 404))"
        " HAVING MAX(requested_at) > COALESCE("
        "  (SELECT MAX(read_at) FROM quota_readings WHERE operation = $operation), TIMESTAMP '1970-01-01')",
        {"operation": operation},
    ).fetchone()
    return row[0].replace(tzinfo=UTC) if row else None
