"""The windows of a report and their log: replacing, verifying and forgetting them.

What belongs here: SQL on these two tables. What doesn't: files and locks (`files.py`), deciding what
to ask (`sync/`).
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from operator import attrgetter
from typing import NamedTuple

import duckdb
import pandas as pd

from wolkvox_assets.report.clocks import FUTURE_AFTER, Moment, boot, uptime_ns
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.measures import Agents
from wolkvox_assets.report.windows import Range
from wolkvox_assets.store.filled import filled, filled_file
from wolkvox_assets.store.tables import Tables


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


class Contents(NamedTuple):
    """What one operation's windows are to be. `now` (aware): what was found empty after it was not known, so that to
    replace it is no correction."""

    windows: Iterable[WindowContent]
    now: datetime


_Key = tuple[str, datetime]
"""An operation's window."""

_Batch = Mapping[_Key, WindowContent]


# No answer waits so long to be stored: a commit waits for ten minutes at most.
# By the count in Postgres these are 86,400 requests, of all machines and operations together.
_ORDER_KEPT_NS = 86_400 * 10**9


def replace_windows(
    con: duckdb.DuckDBPyConnection, report: Report, contents: Mapping[str, Contents], *, run_id: str
) -> dict[str, Replaced]:
    """Replace the windows of these operations, rows and log together: with forty of them it takes hardly longer than
    with one. Of two contents for one window the one that was had later counts, whichever is stored first and whatever
    the clocks showed.
    """
    batch = {
        (operation, w.window_start): w
        for operation, (windows, _) in contents.items()
        for w in sorted(windows, key=attrgetter("moment.at"))
    }
    newer = _stored_later(con, report, batch) if batch else set()
    in_order = {key: batch[key] for key in sorted(batch.keys() - newer)}
    found = {operation: Replaced([], []) for operation in contents}
    if in_order:
        credible = {operation: credible_until(now) for operation, (_, now) in contents.items()}
        for operation, correction in _replace(con, report, in_order, credible, run_id):
            found[operation].corrections.append(correction)
    for operation, window in sorted(newer):
        found[operation].superseded.append(window)
    return found


def _stored_later(con: duckdb.DuckDBPyConnection, report: Report, batch: _Batch) -> set[_Key]:
    """The windows of which another run has stored a newer answer.

    What was had by another clock (before the machine's last start) is older than any that is to be stored now.
    """
    first, last = _first_and_last(batch)
    stored = con.execute(
        filled(
            "SELECT operation, window_start, boot, uptime_ns FROM {answer_order} WHERE boot <> ''"
            # An uptime that is still to come can't be: it is no reason to keep an answer out.
            " AND (boot <> $here OR uptime_ns <= $now) AND window_start BETWEEN $first AND $last"
            " AND list_contains($operations, operation)",
            report,
        ),
        {
            "here": boot(),
            "now": uptime_ns(),
            "first": first,
            "last": last,
            "operations": sorted({operation for operation, _ in batch}),
        },
    ).fetchall()
    return {
        (operation, start)
        for operation, start, clock, at in stored
        if (content := batch.get((operation, start)))
        and clock == content.moment.clock
        and at > content.moment.at
    }


def _replace(
    con: duckdb.DuckDBPyConnection,
    report: Report,
    in_order: _Batch,
    credible: Mapping[str, datetime],
    run_id: str,
) -> list[tuple[str, Correction]]:
    # The bounds say nothing new; they let DuckDB skip the row groups of other days.
    first, last = _first_and_last(in_order)
    bounds = {"first": first, "last": last}
    con.register("batch", _windows(in_order, credible, run_id))
    # A table of the same shape: an empty frame has no types of its own.
    con.execute(filled("CREATE OR REPLACE TEMP TABLE batch_rows AS FROM {windows} LIMIT 0", report))
    if any(w.agents for w in in_order.values()):
        con.register("frame", _rows(report, in_order))
        con.execute("INSERT INTO batch_rows BY NAME FROM frame")
        con.unregister("frame")
    con.execute(filled_file("corrections.sql", report), bounds)
    corrections = con.execute(
        "SELECT operation, window_start, agent_name, column_name, old_value, new_value FROM batch_corrections"
    ).fetchall()
    if corrections:
        con.execute(filled("INSERT INTO {corrections} BY NAME FROM batch_corrections", report))
    for table in ("{windows}", "{window_log}"):
        con.execute(
            filled(f"DELETE FROM {table} WHERE window_start BETWEEN $first AND $last", report)  # noqa: S608  # of two
            + " AND (operation, window_start) IN (SELECT operation, window_start FROM batch)",
            bounds,
        )
    moments = [w.moment for w in in_order.values()]
    con.execute(
        filled(
            "DELETE FROM {answer_order} WHERE operation IN (SELECT operation FROM batch)"
            " AND ((operation, window_start) IN (SELECT operation, window_start FROM batch)"
            " OR boot <> $boot OR uptime_ns < $latest - $kept OR (boot = $here AND uptime_ns > $now))",
            report,
        ),
        {
            "boot": moments[0].clock,
            "latest": max(moment.at for moment in moments),
            "here": boot(),
            "now": uptime_ns(),
            "kept": _ORDER_KEPT_NS,
        },
    )
    for table, those in (
        ("{windows}", "FROM batch_rows"),
        ("{window_log}", "SELECT * EXCLUDE (boot, uptime_ns, credible) FROM batch"),
        ("{answer_order}", "SELECT operation, window_start, boot, uptime_ns FROM batch"),
    ):
        con.execute(filled(f"INSERT INTO {table} BY NAME {those}", report))
    con.unregister("batch")
    return [(operation, Correction(*row)) for operation, *row in corrections]


def _first_and_last(batch: _Batch) -> tuple[datetime, datetime]:
    starts = [start for _, start in batch]
    return min(starts), max(starts)


def _windows(in_order: _Batch, credible: Mapping[str, datetime], run_id: str) -> pd.DataFrame:
    """What their log and the order of answers say of them. `credible`: as `Contents.now`."""
    windows = in_order.values()
    fetched_at = [naive_utc(w.fetched_at) for w in windows]
    return pd.DataFrame(
        {
            "operation": [operation for operation, _ in in_order],
            "window_start": [w.window_start for w in windows],
            "local_date": [w.window_start.date() for w in windows],
            "agents": [len(w.agents) for w in windows],
            "source": [w.source for w in windows],
            "fetched_at": fetched_at,
            "verified_at": fetched_at,
            "run_id": run_id,
            "boot": [w.moment.clock for w in windows],
            "uptime_ns": [w.moment.at for w in windows],
            "credible": [credible[operation] for operation, _ in in_order],
        }
    )


def _rows(report: Report, in_order: _Batch) -> pd.DataFrame:
    named = ("operation", "window_start", "window_start_utc", "local_date", "agent_name")
    return pd.DataFrame(
        [
            (
                operation,
                w.window_start,
                naive_utc(w.window_start_utc),
                w.window_start.date(),
                name,
                *usage,
            )
            for (operation, _), w in in_order.items()
            for name, usage in sorted(w.agents.items())
        ],
        columns=[*named, *report.columns],
    )


class Checked(NamedTuple):
    """One operation's range, whose stored content was found equal to the API. `verified_at`: aware. `agreed`: to the
    answer for just this range."""

    range: Range
    verified_at: datetime
    agreed: bool = True


def verify_windows(con: duckdb.DuckDBPyConnection, report: Report, checked: Mapping[str, Checked]) -> None:
    """Note that every window of these ranges, one of each operation, was found equal to the API.

    Where a clock that was wrong has left a later moment, this one takes its place.
    """
    con.register("checked", checked_ranges(checked))
    con.execute(
        filled(
            "UPDATE {window_log} AS log SET verified_at = found_at, fetched_at = least(fetched_at, found_at)"
            " FROM checked WHERE log.operation = checked.operation AND window_start >= checked.first"
            " AND window_start < checked.until"
            # The bounds say nothing new, as above.
            " AND window_start >= $first AND window_start < $until",
            report,
        ),
        {
            "first": min(each.range.start for each in checked.values()),
            "until": max(each.range.end for each in checked.values()),
        },
    )
    con.unregister("checked")


def checked_ranges(checked: Mapping[str, Checked]) -> pd.DataFrame:
    """A row for each: `operation`, `first`, `until`, `found_at`."""
    rows = [
        (name, each.range.start, each.range.end, naive_utc(each.verified_at))
        for name, each in checked.items()
    ]
    return pd.DataFrame(rows, columns=["operation", "first", "until", "found_at"])


def forget_windows(tables: Tables, range_: Range) -> None:
    """Make every window of this range unknown: rows and log go together."""
    for table in ("{windows}", "{window_log}"):
        tables.execute(
            f"DELETE FROM {table}"  # noqa: S608  # of two
            " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
            start=range_.start,
            end=range_.end,
        )


def with_windows_to_come(
    con: duckdb.DuckDBPyConnection, report: Report, wall: datetime, now: datetime
) -> set[str]:
    """The operations for which `forget_windows_to_come` may find any, if theirs are these moments or later ones."""
    rows = con.execute(
        filled(
            "SELECT DISTINCT operation FROM {window_log} WHERE window_start >= $wall AND fetched_at > $credible",
            report,
        ),
        {"wall": wall, "credible": credible_until(now)},
    ).fetchall()
    return {operation for (operation,) in rows}


def forget_windows_to_come(tables: Tables, wall: datetime, now: datetime, *, empty_only: bool) -> set[date]:
    """Make unknown what was fetched after `now` (aware), of windows that start then (`wall`: on the wall clock)
    or later; `empty_only`: but for those with rows. Returns their days. Those that are over are not known either, and
    stay until they are asked again.
    """
    to_come = (
        "FROM {window_log} WHERE operation = $operation AND window_start >= $wall AND fetched_at > $credible"
        " AND (agents = 0 OR NOT $empty_only)"
    )
    which = {"wall": wall, "credible": credible_until(now), "empty_only": empty_only}
    days = tables.execute(f"SELECT DISTINCT local_date {to_come}", **which).fetchall()
    if days:
        tables.execute(
            "DELETE FROM {windows} WHERE operation = $operation"  # noqa: S608  # fixed words
            f" AND window_start IN (SELECT window_start {to_come})",
            **which,
        )
        tables.execute(f"DELETE {to_come}", **which)
    return {day for (day,) in days}


def forget_days_before(tables: Tables, first: date, *, but_run: str) -> set[date]:
    """Make the windows of all days before `first` unknown, but for those that this run has asked. Returns the days."""
    earlier = "FROM {window_log} WHERE operation = $operation AND local_date < $first AND run_id <> $run"
    days = tables.execute(f"SELECT DISTINCT local_date {earlier}", first=first, run=but_run).fetchall()
    tables.execute(f"DELETE {earlier}", first=first, run=but_run)
    return {day for (day,) in days}
