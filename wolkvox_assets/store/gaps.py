"""What is not as it should be, read from the tables: windows that are not known, or may have changed since."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.windows import WINDOW, Range
from wolkvox_assets.store.filled import filled
from wolkvox_assets.store.tables import Tables
from wolkvox_assets.store.windows import credible_until


class DayKnown(NamedTuple):
    """`windows`: how many of the day are known. `verified_at` (UTC, naive): of the one verified longest ago."""

    windows: int
    verified_at: datetime


def holes(tables: Tables, within: Range, now: datetime, but: Collection[datetime] = ()) -> list[Range]:
    """The ranges of this range (wall clock) without a known window, newest first.

    A window that was fetched at a moment after `now` (aware) is not known: a clock was wrong. `but`: windows that count
    as known. An hour that the clock skips is a hole like any other: only the wall clock knows better.
    """
    rows = tables.execute(
        "WITH known AS ("
        " SELECT window_start FROM {window_log} WHERE operation = $operation"
        "  AND window_start >= $start AND window_start < $end AND fetched_at <= $credible"
        " UNION ALL SELECT unnest($but::TIMESTAMP[])"
        " UNION ALL SELECT $start - INTERVAL 5 MINUTE UNION ALL SELECT $end"
        "), pairs AS (SELECT window_start, LEAD(window_start) OVER (ORDER BY window_start) AS following FROM known)"
        " SELECT window_start, following FROM pairs WHERE following > window_start + INTERVAL 5 MINUTE"
        " ORDER BY window_start DESC",
        start=within.start,
        end=within.end,
        credible=credible_until(now),
        but=[window for window in but if within.start <= window < within.end],
    ).fetchall()
    return [Range(known + WINDOW, following) for known, following in rows]


def known_since(
    con: duckdb.DuckDBPyConnection, report: Report, operations: Sequence[str], start: datetime, now: datetime
) -> Mapping[str, dict[datetime, datetime]]:
    """By operation, the known windows from `start` on (wall clock), and when each was verified: as `verified`."""
    rows = con.execute(
        filled(
            "SELECT operation, window_start, IF(verified_at <= $credible, verified_at, fetched_at) FROM {window_log}"
            " WHERE list_contains($operations, operation) AND window_start >= $start AND fetched_at <= $credible",
            report,
        ),
        {"operations": operations, "start": start, "credible": credible_until(now)},
    ).fetchall()
    found: dict[str, dict[datetime, datetime]] = defaultdict(dict)
    for operation, window, verified_at in rows:
        found[operation][window] = verified_at
    return found


def verified(tables: Tables, within: Range, now: datetime) -> dict[datetime, datetime]:
    """The known windows of this range (wall clock), and when each was verified (UTC, naive).

    Moments after `now` (aware) say nothing: such a window is not known, or was not verified since it was fetched.
    """
    rows = tables.execute(
        "SELECT window_start, IF(verified_at <= $credible, verified_at, fetched_at) FROM {window_log}"
        " WHERE operation = $operation AND window_start >= $start AND window_start < $end"
        "  AND fetched_at <= $credible",
        start=within.start,
        end=within.end,
        credible=credible_until(now),
    ).fetchall()
    return dict(rows)


def days_known(
    con: duckdb.DuckDBPyConnection, report: Report, operations: Sequence[str], now: datetime
) -> Mapping[str, dict[date, DayKnown]]:
    """By operation, the days (wall clock) of which a window is known."""
    rows = con.execute(
        filled(
            "SELECT operation, local_date, COUNT(*), MIN(IF(verified_at <= $credible, verified_at, fetched_at))"
            " FROM {window_log} WHERE list_contains($operations, operation) AND fetched_at <= $credible"
            " GROUP BY ALL ORDER BY ALL",
            report,
        ),
        {"operations": operations, "credible": credible_until(now)},
    ).fetchall()
    found: dict[str, dict[date, DayKnown]] = defaultdict(dict)
    for operation, day, windows, verified_at in rows:
        found[operation][day] = DayKnown(windows, verified_at)
    return found
