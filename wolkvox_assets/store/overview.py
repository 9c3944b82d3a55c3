"""How much is stored of an operation, in numbers: for people who want to know where it stands."""

from datetime import datetime
from typing import NamedTuple

from wolkvox_assets.store.tables import Tables


class Overview(NamedTuple):
    """`newest_window`: wall clock. `verified_at`, `quota_read_at`: UTC, naive.

    `verified_at`: of the windows of complete days, when the one was verified that was verified longest ago.
    """

    newest_window: datetime | None = None
    known: int = 0
    days_complete: int = 0
    days_not_complete: int = 0
    verified_at: datetime | None = None
    corrections: int = 0
    quota_used: int | None = None
    quota_limit: int | None = None
    quota_read_at: datetime | None = None


def overview(tables: Tables) -> Overview:
    found = tables.execute(
        "WITH"
        " windows AS (SELECT MAX(window_start), COUNT(*) FROM {window_log} WHERE operation = $operation),"
        " days AS (SELECT COUNT(*) FILTER (complete), COUNT(*) FILTER (NOT complete),"
        "  MIN(verified_at) FILTER (complete) FROM {operation_days} WHERE operation = $operation),"
        " changed AS (SELECT COUNT(*) FROM {corrections} WHERE operation = $operation),"
        " quota AS (SELECT ARG_MAX(used_today, rowid), ARG_MAX(daily_limit, rowid), ARG_MAX(read_at, rowid)"
        "  FROM quota_readings WHERE operation = $operation)"
        " FROM windows, days, changed, quota"
    ).fetchone()
    return Overview(*found) if found else Overview()
