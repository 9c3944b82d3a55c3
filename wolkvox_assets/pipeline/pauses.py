"""Whether work on an operation has to wait, and why: after failures, and for the day's quota."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import duckdb

from wolkvox_assets.pipeline.attempts import scope_of, waits_until
from wolkvox_assets.pipeline.quota import seen_by_all, share_of
from wolkvox_assets.pipeline.reconcile import Site
from wolkvox_assets.settings import ConfigurationProblem, Operation, read_token
from wolkvox_assets.store import Store, sources
from wolkvox_assets.store.attempts import (
    FailedAttempt,
    FailureScope,
    Work,
    failed_attempts,
    forget_attempts,
    record_attempt,
)
from wolkvox_assets.store.quota_readings import QuotaSeen
from wolkvox_assets.store.tables import Tables


class Standing(NamedTuple):
    """What an operation's work may have to wait for. `failed`: see `open_failures`. `to_forget`: whether anything is
    stored that a success ends.
    """

    failed: list[FailedAttempt]
    to_forget: bool
    quota: QuotaSeen


def standings(store: Store, operations: Sequence[Operation], now: datetime) -> dict[str, Standing]:
    """By `Operation.label`, at `now` (aware)."""
    with store.reading() as con:
        failed = _failures(con, operations)
        quotas = seen_by_all(con, operations, now)
        return {
            operation.label: Standing(_still(con, operation, its), bool(its), quotas[operation.source.quota])
            for operation, its in failed
        }


def reason_to_wait(
    standing: Standing, operation: Operation, work: Work, now: datetime, live: int
) -> str | None:
    """Why this work should not be tried at `now` (aware), or None where it may be. `live`: how many operations' live
    windows come first where the quota gets scarce.
    """
    until = share_of(work, operation, live).waits_until(standing.quota, now)
    if until is not None:
        return (
            f"the day's quota of {operation.name} is used up{'' if work is Work.LIVE else ' but for live windows'}; it "
            f"is looked at again after {until:%Y-%m-%d %H:%M:%S} UTC"
        )
    failed = standing.failed
    until = waits_until(failed, work, now)
    if until is None:
        return None
    last = failed[-1]
    many = f"{len(failed)} attempts in a row failed, the last" if len(failed) > 1 else "one attempt failed"
    return (
        f"operation {operation.label}: {many} ({last.work}) with {last.error} in run {last.run_id}. Next "
        f"try after {until:%Y-%m-%d %H:%M:%S} UTC, or at once when its token or its source is changed, "
        "live windows can be fetched again, or a run by hand succeeds."
    )


def open_failures(store: Store, operations: Sequence[Operation]) -> dict[str, list[FailedAttempt]]:
    """By `Operation.label`, what failed and has not succeeded since; nothing of what token or source were to blame for,
    once they are others.
    """
    with store.reading() as con:
        return {operation.label: _still(con, operation, its) for operation, its in _failures(con, operations)}


def _failures(
    con: duckdb.DuckDBPyConnection | None, operations: Sequence[Operation]
) -> list[tuple[Operation, list[FailedAttempt]]]:
    """What failed of each, with one query for a report."""
    reports = {operation.report for operation in operations}
    found = {report: failed_attempts(con, report) if con else {} for report in reports}
    return [(operation, found[operation.report].get(operation.name, [])) for operation in operations]


def _still(
    con: duckdb.DuckDBPyConnection | None, operation: Operation, failed: list[FailedAttempt]
) -> list[FailedAttempt]:
    if all(attempt.scope is not FailureScope.OPERATION for attempt in failed):
        return failed
    now = _access(con, operation)
    return [a for a in failed if a.scope is not FailureScope.OPERATION or a.access == now]


def remember_failure(site: Site, work: Work, error: Exception) -> bool:
    """Store that this work failed, for the pauses and the alerts. Not where that is no matter of the operation; returns
    whether it was.
    """
    scope = scope_of(error, work)
    if scope is None:
        return False

    def record(con: duckdb.DuckDBPyConnection) -> None:
        failed = FailedAttempt(
            work,
            site.now(),
            scope,
            type(error).__name__,
            str(error),
            _access(con, site.operation),
            site.run_id,
        )
        record_attempt(Tables(con, site.operation.name, site.operation.report), failed)

    site.store.change(record)
    return True


def remember_success(store: Store, operation: Operation, work: Work) -> None:
    """This work has succeeded: nothing waits for it any more."""
    with store.reading() as con:
        failed = failed_attempts(con, operation.report).get(operation.name, []) if con else []
    if any(attempt.work is work or attempt.scope is FailureScope.OPERATION for attempt in failed):
        store.change(lambda con: forget_attempts(Tables(con, operation.name, operation.report), work))


def _access(con: duckdb.DuckDBPyConnection | None, operation: Operation) -> str:
    """Changes when the operation's token or source does, or when stored data of another source is out of the way: what
    was refused before may work then.
    """
    try:
        token = read_token(operation.name, operation.token_env).get_secret_value()
    except ConfigurationProblem:
        token = ""
    in_the_way = sources.objection(con, operation.name, operation.source) if con else None
    return _digest(f"{token} {operation.source} {in_the_way}")


@lru_cache(maxsize=64)
def _digest(text: str) -> str:
    # Slow (0.1 s) and short: no help to whoever guesses at a token.
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"wolkvox-assets access", 200_000).hex()[:8]
