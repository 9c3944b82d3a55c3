"""Work that failed, kept until work of its kind succeeds: what pauses and alerts go by.

What belongs here: the words of that table, writing and reading it. What doesn't: what follows from it
(`pipeline/attempts.py`).
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.windows import naive_utc

_MESSAGE_LENGTH = 4000


class Work(StrEnum):
    """Why windows are asked for."""

    LIVE = "live"
    """They have just closed. The tick does it first."""
    RECENT = "recent"
    """Verification that is due, and gaps of the last days. The tick does it with the time that is left."""
    HISTORY = "history"
    """Older gaps: runs that the sensor starts."""
    RANGE = "range"
    """A person, or a backfill, wants them."""


class FailureScope(StrEnum):
    """What a failure says about the next try."""

    TEMPORARY = "temporary"
    """It may pass by itself."""
    WINDOWS = "windows"
    """These windows cannot be had; they rest by themselves, and others may well be had."""
    OPERATION = "operation"
    """Nothing of this operation can work until somebody changes something: the token, an address, stored data from
    elsewhere."""


class FailedAttempt(NamedTuple):
    """One piece of work that failed. `ended_at`: aware. `access`: a digest of what it was asked with."""

    work: Work
    ended_at: datetime
    scope: FailureScope
    error: str
    message: str
    access: str
    run_id: str


def record_attempt(
    con: duckdb.DuckDBPyConnection, operation: str, failed: FailedAttempt, *, report: Report = AGENT_9
) -> None:
    con.execute(
        filled("INSERT INTO {failed_attempts} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", report),
        [
            operation,
            str(failed.work),
            naive_utc(failed.ended_at),
            str(failed.scope),
            failed.error,
            failed.message[:_MESSAGE_LENGTH],
            failed.access,
            failed.run_id,
        ],
    )


def failed_attempts(
    con: duckdb.DuckDBPyConnection, *, report: Report = AGENT_9
) -> Mapping[str, list[FailedAttempt]]:
    """By operation, those since each kind of work last succeeded, in the order in which they were stored: clocks are
    set back."""
    rows = con.execute(
        filled(
            "SELECT operation, work, ended_at, scope, error, message, access, run_id FROM {failed_attempts}"
            " ORDER BY rowid",
            report,
        )
    ).fetchall()
    found: dict[str, list[FailedAttempt]] = defaultdict(list)
    for operation, work, ended_at, scope, *rest in rows:
        found[operation].append(
            FailedAttempt(Work(work), ended_at.replace(tzinfo=UTC), FailureScope(scope), *rest)
        )
    return found


def forget_attempts(
    con: duckdb.DuckDBPyConnection, operation: str, work: Work, *, report: Report = AGENT_9
) -> None:
    """This work has succeeded: so can all that waited for something to be changed."""
    con.execute(
        filled("DELETE FROM {failed_attempts} WHERE operation = ? AND (work = ? OR scope = ?)", report),
        [operation, str(work), str(FailureScope.OPERATION)],
    )
