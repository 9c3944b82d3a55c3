"""The windows of a report and their log: replacing, verifying and forgetting them.

What belongs here: SQL on these two tables. What doesn't: files and locks (`files.py`), deciding what
to ask (`sync/`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from operator import attrgetter
from typing import NamedTuple

import duckdb
import pandas as pd

from wolkvox_assets.report.clocks import FUTURE_AFTER, Moment, boot, uptime_ns
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.measures import Agents
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import Range
from wolkvox_assets.store.filled import filled, filled_file


class WindowContent(NamedTuple):
    """What is to stand in the tables for one window.

    `window_start`: wall clock, naive. `window_start_utc`, `fetched_at`: aware. `source`: `asked`,
    `derived` or `empty_range`. `agents` may be empty: an empty answer replaces what was there. `moment`:
    tells the newer of two answers.
    """

    window_start: datetime
    window_start_utc: datetime
    agents: Agents
    source: str
    fetched_at: datetime
    moment: Moment


def naive_utc(moment: datetime) -> datetime:
    """The tables hold UTC without an offset: TIMESTAMPTZ would need pytz to be read into Python."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def credible_until(now: datetime) -> datetime:
    """The latest moment (UTC, naive) that can stand in the tables at `now` (aware): what is later says nothing."""
    return naive_utc(now + FUTURE_AFTER)


class Correction(NamedTuple):
    """A number of a known window that turned out to be another. `window_start`: wall clock. 0: no row."""

    window_start: datetime
    agent_name: str
    column_name: str
    old_value: int
    new_value: int


class Replaced(NamedTuple):
    """What storing a batch came to.

    `corrections`: what changed of windows that were known before; it is in the table of corrections as well.
    `superseded`: windows whose content was not stored, since a newer answer was stored meanwhile.
    """

    corrections: list[Correction]
    superseded: list[datetime]


# No answer waits so long to be stored: a commit waits for ten minutes at most.
# By the count in Postgres these are 86,400 requests, of all machines and operations together.
_ORDER_KEPT_NS = 86_400 * 10**9


def replace_windows(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    windows: Iterable[WindowContent],
    *,
    run_id: str,
    now: datetime | None = None,
    report: Report = AGENT_9,
) -> Replaced:
    """Replace these windows, rows and log together. Of two contents for one window the one that was had later
    counts, whichever is stored first and whatever the clocks showed. What was fetched after `now` (aware; by default
    this machine's) was not known, so that to replace it is no correction.
    """
    batch = {w.window_start: w for w in sorted(windows, key=attrgetter("moment.at"))}
    if not batch:
        return Replaced([], [])
    newer = _stored_later(con, operation, batch, report)
    in_order = [batch[start] for start in sorted(batch.keys() - newer)]
    credible = credible_until(now or datetime.now(UTC))
    corrections = _replace(con, operation, in_order, run_id, credible, report) if in_order else []
    return Replaced(corrections, sorted(newer))


def _stored_later(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    batch: Mapping[datetime, WindowContent],
    report: Report,
) -> set[datetime]:
    """The windows of which another run has stored a newer answer.

    What was had by another clock (before the machine's last start) is older than any that is to be stored now.
    """
    stored = con.execute(
        filled(
            "SELECT window_start, boot, uptime_ns FROM {answer_order} WHERE operation = $operation"
            # An uptime that is still to come can't be: it is no reason to keep an answer out.
            " AND boot <> '' AND (boot <> $here OR uptime_ns <= $now) AND window_start BETWEEN $first AND $last",
            report,
        ),
        {
            "operation": operation,
            "here": boot(),
            "now": uptime_ns(),
            "first": min(batch),
            "last": max(batch),
        },
    ).fetchall()
    return {
        start
        for start, clock, at in stored
        if start in batch and clock == batch[start].moment.clock and at > batch[start].moment.at
    }


def _replace(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    in_order: Sequence[WindowContent],
    run_id: str,
    credible: datetime,
    report: Report,
) -> list[Correction]:
    _take_in(con, operation, in_order, run_id, report)
    span = {"operation": operation, "first": in_order[0].window_start, "last": in_order[-1].window_start}
    con.execute(
        filled_file("corrections.sql", report),
        span | {"credible": credible},
    )
    con.execute(filled("INSERT INTO {corrections} BY NAME FROM batch_corrections", report))
    corrections = con.execute(
        "SELECT window_start, agent_name, column_name, old_value, new_value FROM batch_corrections"
    ).fetchall()
    for table in (report.names.windows, report.names.window_log, report.names.answer_order):
        # The bounds say nothing new; they let DuckDB skip the row groups of other days.
        con.execute(
            f"DELETE FROM {table} WHERE operation = $operation AND window_start BETWEEN $first AND $last"  # noqa: S608  # fixed names
            " AND window_start IN (SELECT window_start FROM batch_log)",
            span,
        )
    con.execute(filled("INSERT INTO {window_log} SELECT * FROM batch_log", report))
    con.execute(filled("INSERT INTO {windows} SELECT * FROM batch_rows", report))
    con.execute(
        filled(
            "DELETE FROM {answer_order} WHERE boot <> $boot OR uptime_ns < $latest - $kept"
            " OR (boot = $here AND uptime_ns > $now)",
            report,
        ),
        {
            "boot": in_order[0].moment.clock,
            "latest": max(w.moment.at for w in in_order),
            "here": boot(),
            "now": uptime_ns(),
            "kept": _ORDER_KEPT_NS,
        },
    )
    con.execute(filled("INSERT INTO {answer_order} SELECT * FROM batch_order", report))
    return [Correction(*row) for row in corrections]


def _take_in(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    windows: Sequence[WindowContent],
    run_id: str,
    report: Report,
) -> None:
    """Put the new content into temporary tables of the same shape: an empty frame has no types of its own."""
    log = pd.DataFrame(
        {
            "operation": operation,
            "window_start": [w.window_start for w in windows],
            "local_date": [w.window_start.date() for w in windows],
            "agents": [len(w.agents) for w in windows],
            "source": [w.source for w in windows],
            "fetched_at": [naive_utc(w.fetched_at) for w in windows],
            "verified_at": [naive_utc(w.fetched_at) for w in windows],
            "run_id": run_id,
        }
    )
    rows = pd.DataFrame(
        [
            (operation, w.window_start, naive_utc(w.window_start_utc), w.window_start.date(), name, *usage)
            for w in windows
            for name, usage in sorted(w.agents.items())
        ],
        columns=[
            "operation",
            "window_start",
            "window_start_utc",
            "local_date",
            "agent_name",
            *report.columns,
        ],
    )
    order = pd.DataFrame(
        {
            "operation": operation,
            "window_start": [w.window_start for w in windows],
            "boot": [w.moment.clock for w in windows],
            "uptime_ns": [w.moment.at for w in windows],
        }
    )
    for batch, table, frame in (
        ("batch_order", report.names.answer_order, order),
        ("batch_log", report.names.window_log, log),
        ("batch_rows", report.names.windows, rows),
    ):
        con.execute(f"CREATE OR REPLACE TEMP TABLE {batch} AS FROM {table} LIMIT 0")
        if len(frame):
            con.register("frame", frame)
            con.execute(f"INSERT INTO {batch} BY NAME SELECT * FROM frame")  # noqa: S608  # two fixed names
            con.unregister("frame")


def verify_windows(
    con: duckdb.DuckDBPyConnection,
    operation: str,
    range_: Range,
    verified_at: datetime,
    *,
    report: Report = AGENT_9,
) -> None:
    """Note that every window of this range was found equal to the API at `verified_at` (aware).

    Where a clock that was wrong has left a later moment, this one takes its place.
    """
    con.execute(
        filled(
            "UPDATE {window_log} SET verified_at = $at, fetched_at = least(fetched_at, $at)"
            " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
            report,
        ),
        {"operation": operation, "start": range_.start, "end": range_.end, "at": naive_utc(verified_at)},
    )


def forget_windows(
    con: duckdb.DuckDBPyConnection, operation: str, range_: Range, *, report: Report = AGENT_9
) -> None:
    """Make every window of this range unknown: rows and log go together."""
    for table in (report.names.windows, report.names.window_log):
        con.execute(
            f"DELETE FROM {table}"  # noqa: S608  # two fixed names
            " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
            {"operation": operation, "start": range_.start, "end": range_.end},
        )


def forget_windows_to_come(
    con: duckdb.DuckDBPyConnection, operation: str, wall: datetime, now: datetime, *, report: Report = AGENT_9
) -> set[date]:
    """Make unknown what was fetched after `now` (aware), of windows that start then (`wall`: on the wall clock)
    or later. Returns their days. Those that are over are not known either, and stay until they are asked again.
    """
    to_come = {"operation": operation, "wall": wall, "credible": credible_until(now)}
    days = con.execute(
        filled(
            "SELECT DISTINCT local_date FROM {window_log} WHERE operation = $operation AND window_start >= $wall"
            " AND fetched_at > $credible",
            report,
        ),
        to_come,
    ).fetchall()
    if days:
        con.execute(
            filled(
                "DELETE FROM {windows} WHERE operation = $operation AND window_start IN (SELECT window_start"
                " FROM {window_log} WHERE operation = $operation AND window_start >= $wall"
                " AND fetched_at > $credible)",
                report,
            ),
            to_come,
        )
        con.execute(
            filled(
                "DELETE FROM {window_log} WHERE operation = $operation AND window_start >= $wall"
                " AND fetched_at > $credible",
                report,
            ),
            to_come,
        )
    return {day for (day,) in days}


def forget_days_before(
    con: duckdb.DuckDBPyConnection, operation: str, first: date, *, but_run: str, report: Report = AGENT_9
) -> set[date]:
    """Make the windows of all days before `first` unknown, but for those that this run has asked. Returns the days."""
    earlier = {"operation": operation, "first": first, "run": but_run}
    rows = con.execute(
        filled(
            "SELECT DISTINCT local_date FROM {window_log} WHERE operation = $operation AND local_date < $first"
            " AND run_id <> $run",
            report,
        ),
        earlier,
    ).fetchall()
    con.execute(
        filled(
            "DELETE FROM {window_log} WHERE operation = $operation AND local_date < $first AND run_id <> $run",
            report,
        ),
        earlier,
    )
    return {day for (day,) in rows}
