"""Whether the answers of an operation's report were found to add up.

What belongs here: writing and reading it. What doesn't: finding it out (`sync/`), and how long a verdict is good for
(`due_work.py`).
"""

from datetime import UTC, datetime
from typing import NamedTuple

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.windows import naive_utc


class Verdict(NamedTuple):
    """Whether an aggregate over a range was the sum over its parts. `proved_at`: aware."""

    proved_at: datetime
    holds: bool
    evidence: str


def record_verdict(
    con: duckdb.DuckDBPyConnection, operation: str, verdict: Verdict, *, run_id: str, report: Report = AGENT_9
) -> None:
    con.execute(
        filled("INSERT INTO {additivity_proofs} VALUES (?, ?, ?, ?, ?)", report),
        [operation, naive_utc(verdict.proved_at), verdict.holds, verdict.evidence, run_id],
    )


def latest_verdict(
    con: duckdb.DuckDBPyConnection, operation: str, *, report: Report = AGENT_9
) -> Verdict | None:
    """The one that counts, or None where additivity was never tried."""
    # The last one stored, not the latest moment: clocks are set back and ahead.
    row = con.execute(
        filled(
            "SELECT proved_at, holds, evidence FROM {additivity_proofs} WHERE operation = ?"
            " ORDER BY rowid DESC LIMIT 1",
            report,
        ),
        [operation],
    ).fetchone()
    return Verdict(row[0].replace(tzinfo=UTC), row[1], row[2]) if row else None
