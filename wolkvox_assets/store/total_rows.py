"""What was found out about an operation's total row, and what rests on it."""

from datetime import UTC, date, datetime, timedelta

from wolkvox_assets.api.errors import WolkvoxError
from wolkvox_assets.api.parsing import NotAsAgreed, NotWhole, open_envelope, read_report
from wolkvox_assets.report.total_row import Row, TotalRow, same_row
from wolkvox_assets.report.windows import Range, contiguous
from wolkvox_assets.store.evidence import EVERYTHING
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import forget_windows, naive_utc

ANSWERS = 300
"""So many of the latest answers are looked at again."""

# A verdict older than this has proved itself: what changed is the server, and what is stored was right.
_NEW = timedelta(days=7)


def record_total_row(tables: Tables, verdict: TotalRow, *, run_id: str) -> list[Range]:
    """Store a verdict that fell, and forget the known windows that it makes doubtful: those with an agent that is the
    total row, or those stored under an earlier verdict of these days that there is one. Returns them."""
    doubtful = _doubtful(tables, latest_total_row(tables), verdict)
    for range_ in doubtful:
        forget_windows(tables, range_)
    tables.execute(
        "INSERT INTO {total_row_verdicts} VALUES ($operation, $decided_at, $has_one, $name, $evidence, $run_id)",
        decided_at=naive_utc(verdict.decided_at),
        has_one=verdict.name is not None,
        name=verdict.name,
        evidence=verdict.evidence,
        run_id=run_id,
    )
    return doubtful


def _doubtful(tables: Tables, before: TotalRow | None, verdict: TotalRow) -> list[Range]:
    if verdict.name is not None:
        windows = tables.execute(
            "SELECT window_start FROM {windows} WHERE operation = $operation AND list_contains($names, agent_name)",
            names=_stored_as(tables, verdict.name),
        ).fetchall()
    elif before is not None and before.name is not None and verdict.decided_at - before.decided_at < _NEW:
        # Where a clock was set back in between, no time of day tells which windows those are.
        in_order = before.decided_at <= verdict.decided_at
        windows = tables.execute(
            "SELECT window_start FROM {window_log}"
            " WHERE operation = $operation AND agents > 0 AND fetched_at >= $since",
            since=naive_utc(before.decided_at) if in_order else EVERYTHING.start,
        ).fetchall()
    else:
        return []
    return contiguous(window for (window,) in windows)


def drop_idle_total_rows(tables: Tables, verdict: TotalRow) -> set[date]:
    """Remove the total row from windows in which it is all zero, so that nothing else there is in doubt. A server that
    lists idle agents answers so at night, before anything decides. Returns the days of these windows."""
    if verdict.name is None:
        return set()
    # Two statements: a lake's DELETE returns no rows.
    idle = "FROM {windows} WHERE operation = $operation AND list_contains($names, agent_name) AND greatest([[#]]) = 0"
    names = _stored_as(tables, verdict.name)
    windows = [window for (window,) in tables.execute(f"SELECT window_start {idle}", names=names).fetchall()]
    if not windows:
        return set()
    tables.execute(f"DELETE {idle}", names=names)
    tables.execute(
        "UPDATE {window_log} AS log SET agents = (SELECT COUNT(*) FROM {windows} AS rows"
        "  WHERE rows.operation = log.operation AND rows.window_start = log.window_start)"
        " WHERE operation = $operation AND list_contains($windows::TIMESTAMP[], window_start)",
        windows=windows,
    )
    return {window.date() for window in windows}


def _stored_as(tables: Tables, name: str) -> list[str]:
    """The stored agents that may be the total row of that name."""
    names = tables.execute(
        "SELECT DISTINCT agent_name FROM {windows} WHERE operation = $operation"
    ).fetchall()
    return [stored for (stored,) in names if same_row(stored, name)]


def latest_total_row(tables: Tables) -> TotalRow | None:
    """The verdict in force, or None where it is not decided yet."""
    row = tables.execute(
        "SELECT decided_at, name, evidence FROM {total_row_verdicts} WHERE operation = $operation"
        " ORDER BY rowid DESC LIMIT 1"
    ).fetchone()
    return TotalRow(row[0].replace(tzinfo=UTC), row[1], row[2]) if row else None


def latest_answers(tables: Tables) -> list[tuple[str, tuple[Row, ...]]]:
    """The latest answers with rows, oldest first: the range asked (`key_of`), and its rows."""
    found = tables.execute(
        "SELECT date_ini, date_end, body FROM api_requests"
        " WHERE operation = $operation AND api = $api AND http_status = 200 AND records > 0 AND body IS NOT NULL"
        " ORDER BY rowid DESC LIMIT $answers",
        api=tables.report.api,
        answers=ANSWERS,
    ).fetchall()
    answers = []
    for first, last, body in reversed(found):
        try:
            answers.append((f"{first}-{last}", read_report(tables.report, open_envelope(body.encode())).rows))
        except (NotWhole, NotAsAgreed, WolkvoxError):
            continue  # it was no answer then, or only its beginning was kept
    return answers


def any_answer_had_rows(tables: Tables) -> bool:
    found = tables.execute(
        "SELECT 1 FROM api_requests"
        " WHERE operation = $operation AND api = $api AND http_status = 200 AND records > 0 LIMIT 1",
        api=tables.report.api,
    ).fetchone()
    return found is not None


def key_of(asked: Range) -> str:
    """How a range is named among the answers."""
    return f"{_as_sent(asked.start)}-{_as_sent(asked.last_second)}"


def _as_sent(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S}"
