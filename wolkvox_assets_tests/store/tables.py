"""Windows to store, and what stands in the files: for all tests of the store.

What belongs here: making contents and reading tables. What doesn't: assertions, processes.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from wolkvox_assets.report.clocks import Moment, boot, uptime_ns
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import WINDOW
from wolkvox_assets.store import Store
from wolkvox_assets.store import windows as store_windows
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import Contents, Replaced, WindowContent

DAY = datetime(2026, 11, 16)
FETCHED = datetime(2026, 11, 17, 6, 30, tzinfo=UTC)
_UPTIME = uptime_ns() - 60 * 10**9
TABLES = (
    "agent_9_windows",
    "agent_9_window_log",
    "agent_hold_mute_daily",
    "operation_hold_mute_daily",
    "api_requests",
)

Row = tuple[object, ...]


def agent_9(con: duckdb.DuckDBPyConnection, operation: str = "main") -> Tables:
    """The tables of this report."""
    return Tables(con, operation, AGENT_9)


def replace_windows(
    tables: Tables, windows: Iterable[WindowContent], *, run_id: str, now: datetime | None = None
) -> Replaced:
    """Of one operation."""
    contents = {tables.operation: Contents(windows, now or datetime.now(UTC))}
    return store_windows.replace_windows(tables.con, tables.report, contents, run_id=run_id)[tables.operation]


def window(number: int) -> datetime:
    """The start of this window of the day (and of later days, from 288 on)."""
    return DAY + number * WINDOW


def content(
    start: datetime,
    agents: Mapping[str, Usage] | None = None,
    *,
    source: str = "asked",
    fetched_at: datetime = FETCHED,
) -> WindowContent:
    """A window's content; UTC is the wall clock five hours on, as in Bogota. Had in the order of `fetched_at`."""
    uptime = _UPTIME + round((fetched_at - FETCHED).total_seconds()) * 1000
    return WindowContent(
        start,
        start.replace(tzinfo=UTC) + 60 * WINDOW,
        agents or {},
        source,
        fetched_at,
        Moment(boot(), uptime),
    )


def query(where: Path | Store, sql: str) -> list[Row]:
    """What a person's SQL finds in this file, or in this store."""
    with opened(where) as con:
        return con.execute(sql).fetchall()


def tables(where: Path | Store) -> dict[str, list[Row]]:
    """All tables of it, sorted; a row that stood there twice stands there twice."""
    with opened(where) as con:
        return {name: sorted(con.execute(f"FROM {name}").fetchall(), key=repr) for name in TABLES}


@contextmanager
def opened(where: Path | Store) -> Iterator[duckdb.DuckDBPyConnection]:
    """Files as everybody opens them, not by the store's own means."""
    file = where.published if isinstance(where, FileStore) else where
    if isinstance(file, Path):
        with closing(duckdb.connect(file, read_only=True)) as con:
            yield con
    else:
        with file.reading() as con:
            assert con is not None
            yield con
