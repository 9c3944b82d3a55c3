"""Whether the answers of an operation's report were found to add up."""

from datetime import UTC, datetime
from typing import NamedTuple

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import naive_utc


class Verdict(NamedTuple):
    """Whether an aggregate over a range was the sum over its parts. `proved_at`: aware."""

    proved_at: datetime
    holds: bool
    evidence: str


def record_verdict(tables: Tables, verdict: Verdict, *, run_id: str) -> None:
    tables.execute(
        "INSERT INTO {additivity_proofs} VALUES ($operation, $proved_at, $holds, $evidence, $run_id)",
        proved_at=naive_utc(verdict.proved_at),
        holds=verdict.holds,
        evidence=verdict.evidence,
        run_id=run_id,
    )


def latest_verdict(tables: Tables) -> Verdict | None:
    """The one that counts, or None where additivity was never tried."""
    return latest_verdicts(tables.con, tables.report).get(tables.operation)


def latest_verdicts(con: duckdb.DuckDBPyConnection, report: Report) -> dict[str, Verdict]:
    """By operation."""
    # The last one stored, not the latest moment: clocks are set back and ahead.
    rows = con.execute(
        filled(
            "SELECT operation, proved_at, holds, evidence FROM {additivity_proofs}"
            " QUALIFY row_number() OVER (PARTITION BY operation ORDER BY rowid DESC) = 1",
            report,
        )
    ).fetchall()
    return {
        operation: Verdict(proved_at.replace(tzinfo=UTC), holds, evidence)
        for operation, proved_at, holds, evidence in rows
    }
