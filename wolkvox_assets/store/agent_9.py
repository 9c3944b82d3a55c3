"""The windows: replacing, verifying and reading `agent_9_windows` and `agent_9_window_log`.

What belongs here: SQL on these two tables. What doesn't: files and locks (`files.py`), deciding what
to ask (`sync/`).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import duckdb
import pandas as pd

from wolkvox_assets.usage import Agents


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


def replace_windows(
    con: duckdb.DuckDBPyConnection, operation: str, windows: Iterable[WindowContent], *, run_id: str
) -> None:
    """Replace these windows, rows and log together. Of two contents for one window the later counts."""
    batch = {window.window_start: window for window in windows}
    if not batch:
        return
    in_order = [batch[start] for start in sorted(batch)]
    log = pd.DataFrame(
        {
            "operation": operation,
            "window_start": [w.window_start for w in in_order],
            "local_date": [w.window_start.date() for w in in_order],
            "agents": [len(w.agents) for w in in_order],
            "source": [w.source for w in in_order],
            "fetched_at": [naive_utc(w.fetched_at) for w in in_order],
            "verified_at": [naive_utc(w.fetched_at) for w in in_order],
            "run_id": run_id,
        }
    )
    rows = pd.DataFrame(
        [
            (operation, w.window_start, naive_utc(w.window_start_utc), w.window_start.date(), name, *usage)
            for w in in_order
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
    con.register("batch_log", log)
    con.register("batch_rows", rows)
    for table in ("agent_9_windows", "agent_9_window_log"):
        # The bounds say nothing new; they let DuckDB skip the row groups of other days.
        con.execute(
            f"DELETE FROM {table} WHERE operation = $operation AND window_start BETWEEN $first AND $last"  # noqa: S608  # two fixed names
            " AND window_start IN (SELECT window_start FROM batch_log)",
            {"operation": operation, "first": in_order[0].window_start, "last": in_order[-1].window_start},
        )
    con.execute("INSERT INTO agent_9_window_log BY NAME SELECT * FROM batch_log")
    if len(rows):
        con.execute("INSERT INTO agent_9_windows BY NAME SELECT * FROM batch_rows")
    con.unregister("batch_log")
    con.unregister("batch_rows")


def known_windows(
    con: duckdb.DuckDBPyConnection, operation: str, first: datetime, last: datetime
) -> Sequence[datetime]:
    """The known windows from `first` to `last` (wall clock, both included), in order."""
    found = con.execute(
        "SELECT window_start FROM agent_9_window_log"
        " WHERE operation = $operation AND window_start BETWEEN $first AND $last ORDER BY window_start",
        {"operation": operation, "first": first, "last": last},
    ).fetchall()
    return [row[0] for row in found]
