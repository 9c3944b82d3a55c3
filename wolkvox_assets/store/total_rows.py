"""What was found out about an operation's total row, and what rests on it.

What belongs here: writing and reading these verdicts, the answers that it is decided on, and forgetting
windows that were stored under another verdict. What doesn't: deciding it (`total_row.py`).
"""

from datetime import UTC, date, datetime, timedelta

import duckdb

from wolkvox_assets.api.errors import WolkvoxError
from wolkvox_assets.api.parsing import NotAsAgreed, NotWhole, open_envelope, read_report
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.total_row import Row, TotalRow, same_row
from wolkvox_assets.report.windows import Range, contiguous
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.windows import forget_windows, naive_utc

ANSWERS = 300
"""So many of the latest answers are looked at again."""

# A verdict older than this has proved itself: what changed is the server, and what is stored was right.
_NEW = timedelta(days=7)


def record_total_row(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    verdict: TotalRow,
    *,
    run_id: str,
    report: Report = AGENT_9,
) -> list[Range]:
    """Store a verdict that fell, and forget the known windows that it makes doubtful: those with an agent that is the
    total row, or those stored under an earlier verdict of these days that there is one. Returns them."""
    before = latest_total_row(con, operation, report=report)
    doubtful = _doubtful(con, operation, before, verdict, report)
    for range_ in doubtful:
        forget_windows(con, operation, range_, report=report)
    con.execute(
        filled("INSERT INTO {total_row_verdicts} VALUES (?, ?, ?, ?, ?, ?)", report),
        [
            operation,
            naive_utc(verdict.decided_at),
            verdict.name is not None,
            verdict.name,
            verdict.evidence,
            run_id,
        ],
    )
    return doubtful


def _doubtful(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    before: TotalRow | None,
    verdict: TotalRow,
    report: Report,
) -> list[Range]:
    if verdict.name is not None:
        windows = con.execute(
            filled(
                "SELECT DISTINCT window_start FROM {windows} WHERE operation = ? AND list_contains(?, agent_name)",
                report,
            ),
            [operation, _stored_as(con, operation, verdict.name, report)],
        ).fetchall()
    elif before is not None and before.name is not None and verdict.decided_at - before.decided_at < _NEW:
        windows = con.execute(
            filled(
                "SELECT window_start FROM {window_log} WHERE operation = ? AND agents > 0 AND fetched_at >= ?",
                report,
            ),
            [operation, naive_utc(before.decided_at)],
        ).fetchall()
    else:
        return []
    return contiguous(window for (window,) in windows)


def drop_idle_total_rows(
    con: duckdb.DuckDBPyConnection, operation: str, verdict: TotalRow, *, report: Report = AGENT_9
) -> set[date]:
    """Remove the total row from windows in which it is all zero, so that nothing else there is in doubt. A server that
    lists idle agents answers so at night, before anything decides. Returns the days of these windows."""
    if verdict.name is None:
        return set()
    # Two statements: a lake's DELETE returns no rows.
    idle = "FROM {windows} WHERE operation = ? AND list_contains(?, agent_name) AND greatest([[#]]) = 0"
    which = [operation, _stored_as(con, operation, verdict.name, report)]
    found = con.execute(filled(f"SELECT window_start {idle}", report), which).fetchall()
    windows = [window for (window,) in found]
    if not windows:
        return set()
    con.execute(filled(f"DELETE {idle}", report), which)
    con.execute(
        filled(
            "UPDATE {window_log} AS log SET agents = (SELECT COUNT(*) FROM {windows} AS rows"
            "  WHERE rows.operation = log.operation AND rows.window_start = log.window_start)"
            " WHERE operation = ? AND list_contains(?::TIMESTAMP[], window_start)",
            report,
        ),
        [operation, windows],
    )
    return {window.date() for window in windows}


def _stored_as(con: duckdb.DuckDBPyConnection, operation: str, name: str, report: Report) -> list[str]:
    """The stored agents that may be the total row of that name."""
    names = con.execute(
        filled("SELECT DISTINCT agent_name FROM {windows} WHERE operation = ?", report), [operation]
    ).fetchall()
    return [stored for (stored,) in names if same_row(stored, name)]


def latest_total_row(
    con: duckdb.DuckDBPyConnection, operation: str, *, report: Report = AGENT_9
) -> TotalRow | None:
    """The verdict in force, or None where it is not decided yet."""
    try:
        row = con.execute(
            filled(
                "SELECT decided_at, name, evidence FROM {total_row_verdicts} WHERE operation = ?"
                " ORDER BY rowid DESC LIMIT 1",
                report,
            ),
            [operation],
        ).fetchone()
    except duckdb.CatalogException:
        return None  # a file from before there was this table: it comes with the next change
    return TotalRow(row[0].replace(tzinfo=UTC), row[1], row[2]) if row else None


def latest_answers(
    con: duckdb.DuckDBPyConnection, operation: str, *, report: Report = AGENT_9
) -> list[tuple[str, tuple[Row, ...]]]:
    """The latest answers with rows, oldest first: the range asked (`key_of`), and its rows."""
    found = con.execute(
        "SELECT date_ini, date_end, body FROM api_requests"
        " WHERE operation = ? AND api = ? AND http_status = 200 AND records > 0 AND body IS NOT NULL"
        " ORDER BY rowid DESC LIMIT ?",
        [operation, report.api, ANSWERS],
    ).fetchall()
    answers = []
    for first, last, body in reversed(found):
        try:
            answers.append((f"{first}-{last}", read_report(report, open_envelope(body.encode())).rows))
        except (NotWhole, NotAsAgreed, WolkvoxError):
            continue  # it was no answer then, or only its beginning was kept
    return answers


def any_answer_had_rows(con: duckdb.DuckDBPyConnection, operation: str, *, report: Report = AGENT_9) -> bool:
    found = con.execute(
        "SELECT 1 FROM api_requests WHERE operation = ? AND api = ? AND http_status = 200 AND records > 0 LIMIT 1",
        [operation, report.api],
    ).fetchone()
    return found is not None


def key_of(asked: Range) -> str:
    """How a range is named among the answers."""
    return f"{_as_sent(asked.start)}-{_as_sent(asked.last_second)}"


def _as_sent(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S}"
