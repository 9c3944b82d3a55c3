"""Work that failed, kept until work of its kind succeeds: what pauses and alerts go by."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.tables import Tables
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


def record_attempt(tables: Tables, failed: FailedAttempt) -> None:
    tables.execute(
        "INSERT INTO {failed_attempts}"
        " VALUES ($operation, $work, $ended_at, $scope, $error, $message, $access, $run_id)",
        work=str(failed.work),
        ended_at=naive_utc(failed.ended_at),
        scope=str(failed.scope),
        error=failed.error,
        message=failed.message[:_MESSAGE_LENGTH],
        access=failed.access,
        run_id=failed.run_id,
    )


def failed_attempts(con: duckdb.DuckDBPyConnection, report: Report) -> Mapping[str, list[FailedAttempt]]:
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


def forget_attempts(tables: Tables, work: Work) -> None:
    """This work has succeeded: so can all that waited for something to be changed."""
    tables.execute(
        "DELETE FROM {failed_attempts} WHERE operation = $operation AND (work = $work OR scope = $scope)",
        work=str(work),
        scope=str(FailureScope.OPERATION),
    )
