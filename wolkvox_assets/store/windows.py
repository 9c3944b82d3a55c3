"""The windows of a report and their log: replacing, verifying and forgetting them.

What belongs here: SQL on these two tables. What doesn't: files and locks (`files.py`), deciding what
to ask (`sync/`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from operator import attrgetter
from typing import NamedTuple

import pandas as pd

from wolkvox_assets.report.clocks import FUTURE_AFTER, Moment, boot, uptime_ns
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


# No answer waits so long to be stored: a commit waits for ten minutes at most.
# By the count in Postgres these are 86,400 requests, of all machines and operations together.
_ORDER_KEPT_NS = 86_400 * 10**9


def replace_windows(
    tables: Tables, windows: Iterable[WindowContent], *, run_id: str, now: datetime | None = None
) -> Replaced:
    """Replace these windows, rows and log together. Of two contents for one window the one that was had later
    counts, whichever is stored first and whatever the clocks showed. What was fetched after `now` (aware; by default
    this machine's) was not known, so that to replace it is no correction.
    """
    batch = {w.window_start: w for w in sorted(windows, key=attrgetter("moment.at"))}
    if not batch:
        return Replaced([], [])
    newer = _stored_later(tables, batch)
    in_order = [batch[start] for start in sorted(batch.keys() - newer)]
    credible = credible_until(now or datetime.now(UTC))
    corrections = _replace(tables, in_order, run_id, credible) if in_order else []
    return Replaced(corrections, sorted(newer))


def _stored_later(tables: Tables, batch: Mapping[datetime, WindowContent]) -> set[datetime]:
    """The windows of which another run has stored a newer answer.

    What was had by another clock (before the machine's last start) is older than any that is to be stored now.
    """
    stored = tables.execute(
        "SELECT window_start, boot, uptime_ns FROM {answer_order} WHERE operation = $operation"
        # An uptime that is still to come can't be: it is no reason to keep an answer out.
        " AND boot <> '' AND (boot <> $here OR uptime_ns <= $now) AND window_start BETWEEN $first AND $last",
        here=boot(),
        now=uptime_ns(),
        first=min(batch),
        last=max(batch),
    ).fetchall()
    return {
        start
        for start, clock, at in stored
        if start in batch and clock == batch[start].moment.clock and at > batch[start].moment.at
    }


def _replace(
    tables: Tables, in_order: Sequence[WindowContent], run_id: str, credible: datetime
) -> list[Correction]:
    con, first, last = tables.con, in_order[0].window_start, in_order[-1].window_start
    con.register("batch", _windows(tables.operation, in_order, run_id))
    # A table of the same shape: an empty frame has no types of its own.
    con.execute(filled("CREATE OR REPLACE TEMP TABLE batch_rows AS FROM {windows} LIMIT 0", tables.report))
    if any(w.agents for w in in_order):
        con.register("frame", _rows(tables, in_order))
        con.execute("INSERT INTO batch_rows BY NAME FROM frame")
        con.unregister("frame")
    tables.execute(filled_file("corrections.sql", tables.report), first=first, last=last, credible=credible)
    con.execute(filled("INSERT INTO {corrections} BY NAME FROM batch_corrections", tables.report))
    corrections = con.execute(
        "SELECT window_start, agent_name, column_name, old_value, new_value FROM batch_corrections"
    ).fetchall()
    for table in ("{windows}", "{window_log}"):
        # The bounds say nothing new; they let DuckDB skip the row groups of other days.
        tables.execute(
            f"DELETE FROM {table} WHERE operation = $operation AND window_start BETWEEN $first AND $last"  # noqa: S608  # of two
            " AND window_start IN (SELECT window_start FROM batch)",
            first=first,
            last=last,
        )
    tables.execute(
        "DELETE FROM {answer_order} WHERE operation = $operation AND (window_start IN (SELECT window_start FROM batch)"
        " OR boot <> $boot OR uptime_ns < $latest - $kept OR (boot = $here AND uptime_ns > $now))",
        boot=in_order[0].moment.clock,
        latest=max(w.moment.at for w in in_order),
        here=boot(),
        now=uptime_ns(),
        kept=_ORDER_KEPT_NS,
    )
    for table, those in (
        ("{windows}", "FROM batch_rows"),
        ("{window_log}", "SELECT * EXCLUDE (boot, uptime_ns) FROM batch"),
        ("{answer_order}", "SELECT operation, window_start, boot, uptime_ns FROM batch"),
    ):
        con.execute(filled(f"INSERT INTO {table} BY NAME {those}", tables.report))
    con.unregister("batch")
    return [Correction(*row) for row in corrections]


def _windows(operation: str, windows: Sequence[WindowContent], run_id: str) -> pd.DataFrame:
    """What their log and the order of answers say of them."""
    fetched_at = [naive_utc(w.fetched_at) for w in windows]
    return pd.DataFrame(
        {
            "operation": operation,
            "window_start": [w.window_start for w in windows],
            "local_date": [w.window_start.date() for w in windows],
            "agents": [len(w.agents) for w in windows],
            "source": [w.source for w in windows],
            "fetched_at": fetched_at,
            "verified_at": fetched_at,
            "run_id": run_id,
            "boot": [w.moment.clock for w in windows],
            "uptime_ns": [w.moment.at for w in windows],
        }
    )


def _rows(tables: Tables, windows: Sequence[WindowContent]) -> pd.DataFrame:
    named = ("operation", "window_start", "window_start_utc", "local_date", "agent_name")
    return pd.DataFrame(
        [
            (
                tables.operation,
                w.window_start,
                naive_utc(w.window_start_utc),
                w.window_start.date(),
                name,
                *usage,
            )
            for w in windows
            for name, usage in sorted(w.agents.items())
        ],
        columns=[*named, *tables.report.columns],
    )


def verify_windows(tables: Tables, range_: Range, verified_at: datetime) -> None:
    """Note that every window of this range was found equal to the API at `verified_at` (aware).

    Where a clock that was wrong has left a later moment, this one takes its place.
    """
    tables.execute(
        "UPDATE {window_log} SET verified_at = $at, fetched_at = least(fetched_at, $at)"
        " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
        start=range_.start,
        end=range_.end,
        at=naive_utc(verified_at),
    )


def forget_windows(tables: Tables, range_: Range) -> None:
    """Make every window of this range unknown: rows and log go together."""
    for table in ("{windows}", "{window_log}"):
        tables.execute(
            f"DELETE FROM {table}"  # noqa: S608  # of two
            " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
            start=range_.start,
            end=range_.end,
        )


def forget_windows_to_come(tables: Tables, wall: datetime, now: datetime) -> set[date]:
    """Make unknown what was fetched after `now` (aware), of windows that start then (`wall`: on the wall clock)
    or later. Returns their days. Those that are over are not known either, and stay until they are asked again.
    """
    to_come = (
        "FROM {window_log} WHERE operation = $operation AND window_start >= $wall AND fetched_at > $credible"
    )
    which = {"wall": wall, "credible": credible_until(now)}
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
