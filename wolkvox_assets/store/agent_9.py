"""The windows: replacing, verifying and reading `agent_9_windows` and `agent_9_window_log`.

What belongs here: SQL on these two tables. What doesn't: files and locks (`files.py`), deciding what
to ask (`sync/`).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import resources
from operator import attrgetter
from typing import NamedTuple

import duckdb

from wolkvox_assets.usage import Agents
from wolkvox_assets.windows import Range


class WindowContent(NamedTuple):
    """What is to stand in the tables for one window.

    `window_start`: wall clock, naive. `window_start_utc`, `fetched_at`: aware. `source`: `asked`,
    `derived` or `empty_range`. `agents` may be empty: an empty answer replaces what was there.
    """

    window_start: datetime
    window_start_utc: datetime
    agents: Agents
    source: str
    fetched_at: datetime


def naive_utc(moment: datetime) -> datetime:
    """The tables hold UTC without an offset: TIMESTAMPTZ would need pytz to be read into Python."""
    return moment.astimezone(UTC).replace(tzinfo=None)


class Correction(NamedTuple):
    """A number of a known window that turned out to be another. `window_start`: wall clock. 0: no row."""

    window_start: datetime
    agent_name: str
    column_name: str
    old_value: int
    new_value: int


def replace_windows(
    con: duckdb.DuckDBPyConnection, operation: str, windows: Iterable[WindowContent], *, run_id: str
) -> list[Correction]:
    """Replace these windows, rows and log together. Of two contents for one window the one
    that was fetched later counts, whichever is stored first.

    Returns what changed of windows that were known before; it is in `agent_9_corrections` as well.
    """
    batch = {w.window_start: w for w in sorted(windows, key=attrgetter("fetched_at"))}
    if not batch:
        return []
    in_order = [batch[start] for start in sorted(batch)]
    _take_in(con, operation, in_order, run_id)
    span = {"operation": operation, "first": in_order[0].window_start, "last": in_order[-1].window_start}
    # Two runs can have asked for one window: the later answer stays, whichever is stored first.
    con.execute(
        "DELETE FROM batch_log USING agent_9_window_log AS log WHERE log.operation = $operation"
        " AND log.window_start BETWEEN $first AND $last AND log.window_start = batch_log.window_start"
        " AND log.fetched_at > batch_log.fetched_at",
        span,
    )
    con.execute("DELETE FROM batch_rows WHERE window_start NOT IN (SELECT window_start FROM batch_log)")
    corrections = con.execute(
        resources.files(__package__).joinpath("agent_9_corrections.sql").read_text("utf-8"), span
    ).fetchall()
    for table in ("agent_9_windows", "agent_9_window_log"):
        # The bounds say nothing new; they let DuckDB skip the row groups of other days.
        con.execute(
            f"DELETE FROM {table} WHERE operation = $operation AND window_start BETWEEN $first AND $last"  # noqa: S608  # two fixed names
            " AND window_start IN (SELECT window_start FROM batch_log)",
            span,
        )
    con.execute("INSERT INTO agent_9_window_log SELECT * FROM batch_log")
    con.execute("INSERT INTO agent_9_windows SELECT * FROM batch_rows")
    return [Correction(*row) for row in corrections]


def _take_in(
    con: duckdb.DuckDBPyConnection, operation: str, windows: Sequence[WindowContent], run_id: str
) -> None:
    """Put the new content into temporary tables of the same shape: an empty frame has no types of its own."""
    import pandas as pd  # here: 0.4 s that each process which loads the definitions would pay

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
            "hold_mute_count",
            "hold_seconds",
            "mute_seconds",
            "total_seconds",
        ],
    )
    for batch, table, frame in (
        ("batch_log", "agent_9_window_log", log),
        ("batch_rows", "agent_9_windows", rows),
    ):
        con.execute(f"CREATE OR REPLACE TEMP TABLE {batch} AS FROM {table} LIMIT 0")
        if len(frame):
            con.register("frame", frame)
            con.execute(f"INSERT INTO {batch} BY NAME SELECT * FROM frame")  # noqa: S608  # two fixed names
            con.unregister("frame")


def verify_windows(
    con: duckdb.DuckDBPyConnection, operation: str, stretch: Range, verified_at: datetime
) -> None:
    """Note that every window of this range was found equal to the API at `verified_at` (aware)."""
    con.execute(
        "UPDATE agent_9_window_log SET verified_at = greatest(verified_at, $at)"
        " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
        {"operation": operation, "start": stretch.start, "end": stretch.end, "at": naive_utc(verified_at)},
    )


def forget_windows(con: duckdb.DuckDBPyConnection, operation: str, stretch: Range) -> None:
    """Make every window of this range unknown: rows and log go together."""
    for table in ("agent_9_windows", "agent_9_window_log"):
        con.execute(
            f"DELETE FROM {table}"  # noqa: S608  # two fixed names
            " WHERE operation = $operation AND window_start >= $start AND window_start < $end",
            {"operation": operation, "start": stretch.start, "end": stretch.end},
        )
