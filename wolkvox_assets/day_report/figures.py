"""The figures of a report, read from the published tables.

What belongs here: SQL, and what its rows mean. What doesn't: how they are shown.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import NamedTuple

import duckdb

from wolkvox_assets.day_report.spans import Kind, Span
from wolkvox_assets.pipeline.due_work import closed_at
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.report.windows import WINDOW, WallClock
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.windows import Correction, credible_until

_CORRECTIONS_SHOWN = 50
_HALF_HOUR = timedelta(minutes=30)
_DAY = timedelta(days=1)
_SUMS = ", ".join(f"COALESCE(SUM({column}), 0)::BIGINT" for column in AGENT_9.columns)
_USAGE = AGENT_9.usage


class Part(NamedTuple):
    """A half-hour of a day, or a day of a week or month. `known` of `expected` windows."""

    start: datetime
    usage: Usage
    known: int
    expected: int


class Agent(NamedTuple):
    """`first`, `last`: windows in which hold or mute was used, wall clock."""

    name: str
    usage: Usage
    active_windows: int
    first: datetime
    last: datetime


class Corrected(NamedTuple):
    """`at`: wall clock."""

    at: datetime
    what: Correction


class Comparison(NamedTuple):
    """Two times of the same weekdays, over those windows that are known of both."""

    span: Span
    windows: int
    now: Usage
    then: Usage


@dataclass(frozen=True)
class Figures:
    """What is known of a span. `until`: where the newest known window ends. `closed`: only records that come very
    late can still change it. `read_at`: wall clock.
    """

    operation: str
    span: Span
    usage: Usage
    parts: list[Part]
    agents: list[Agent]
    known: int
    expected: int
    complete: bool
    closed: bool
    until: datetime | None
    read_at: datetime

    @property
    def busiest(self) -> Part | None:
        """The part with the most seconds; of several the earliest."""
        used = [part for part in self.parts if part.usage.total_seconds]
        return max(used, key=lambda part: part.usage.total_seconds, default=None)


class Beside(NamedTuple):
    """What a page has beside the figures. `corrections`: the newest; `corrections_count`: of all."""

    comparison: Comparison | None
    corrections: list[Corrected]
    corrections_count: int


class Day(NamedTuple):
    """What is known of one day."""

    span: Span
    usage: Usage
    known: int
    expected: int
    complete: bool
    closed: bool


class DayState(NamedTuple):
    """What tells that a day's figures are others than they were. `seen`: a text that changes with them."""

    seen: str
    closed: bool


def read(con: duckdb.DuckDBPyConnection, operation: Operation, span: Span, now: datetime) -> Figures:
    """The figures of a span at `now` (aware)."""
    these = {"operation": operation.name, "first": span.first, "last": span.last}
    days = _days(con, operation, span.first, span.last)
    newest = con.execute(
        "SELECT MAX(window_start) FROM agent_9_window_log WHERE operation = $operation"
        " AND local_date BETWEEN $first AND $last AND fetched_at <= $credible",
        these | {"credible": credible_until(now)},
    ).fetchone()
    agents = con.execute(
        f"SELECT agent_name, {_SUMS}, SUM(active_windows)::BIGINT, MIN(first_window), MAX(last_window)"  # noqa: S608  # fixed columns
        " FROM agent_hold_mute_daily WHERE operation = $operation AND local_date BETWEEN $first AND $last"
        " GROUP BY agent_name ORDER BY SUM(total_seconds) DESC, agent_name",
        these,
    ).fetchall()
    parts = (
        _half_hours(con, operation, span.first, now)
        if span.kind is Kind.DAY
        else _by_day(operation, span, days)
    )
    of_days = list(days.values())
    whole = days.keys() >= set(_counted(operation, span, days))
    return Figures(
        operation.name,
        span,
        _USAGE(*(sum(day.usage[n] for day in of_days) for n in range(4))),
        parts,
        [Agent(name, _USAGE(*row[:4]), *row[4:]) for name, *row in agents],
        known=sum(day.known for day in of_days),
        expected=sum(part.expected for part in parts),
        complete=whole and all(day.complete for day in of_days),
        closed=whole and all(day.closed for day in of_days),
        until=newest[0] + WINDOW if newest and newest[0] else None,
        read_at=operation.clock.now(now),
    )


def beside(con: duckdb.DuckDBPyConnection, operation: Operation, span: Span) -> Beside:
    """The same weekdays before, and the corrections."""
    these = {
        "operation": operation.name,
        "first": datetime.combine(span.first, datetime.min.time()),
        "end": datetime.combine(span.last + _DAY, datetime.min.time()),
    }
    corrections = con.execute(
        "SELECT corrected_at, window_start, agent_name, column_name, old_value, new_value FROM agent_9_corrections"
        " WHERE operation = $operation AND window_start >= $first AND window_start < $end"
        " ORDER BY corrected_at DESC, window_start, agent_name, column_name LIMIT $shown",
        these | {"shown": _CORRECTIONS_SHOWN},
    ).fetchall()
    count = con.execute(
        "SELECT COUNT(*) FROM agent_9_corrections"
        " WHERE operation = $operation AND window_start >= $first AND window_start < $end",
        these,
    ).fetchone()
    return Beside(
        _comparison(con, operation, span),
        [
            Corrected(operation.clock.now(at.replace(tzinfo=UTC)), Correction(*what))
            for at, *what in corrections
        ],
        count[0] if count else 0,
    )


def day_states(con: duckdb.DuckDBPyConnection, operation: Operation) -> dict[date, DayState]:
    """Of each day of which anything is known."""
    fetched = con.execute(
        "SELECT local_date, COUNT(*), MAX(fetched_at), (SELECT SUM(hash(agents)) FROM agent_hold_mute_daily AS agents"
        "  WHERE agents.operation = log.operation AND agents.local_date = log.local_date)"
        " FROM agent_9_window_log AS log WHERE operation = $operation GROUP BY operation, local_date",
        {"operation": operation.name},
    ).fetchall()
    days = _days(con, operation, date.min, date.max)
    return {
        day: DayState(f"{count} {at} {totals} {days[day].complete} {days[day].closed}", days[day].closed)
        for day, count, at, totals in fetched
        if day in days
    }


def listed_days(con: duckdb.DuckDBPyConnection, operation: Operation) -> list[Day]:
    """Each day of which anything is known, newest first."""
    return sorted(_days(con, operation, date.min, date.max).values(), reverse=True)


def _days(con: duckdb.DuckDBPyConnection, operation: Operation, first: date, last: date) -> dict[date, Day]:
    rows = con.execute(
        "SELECT local_date, verified_at, windows_known, windows_expected, complete, hold_mute_count, hold_seconds,"
        " mute_seconds, total_seconds FROM operation_hold_mute_daily"
        " WHERE operation = $operation AND local_date BETWEEN $first AND $last",
        {"operation": operation.name, "first": first, "last": last},
    ).fetchall()
    clock = operation.clock
    return {
        day: Day(
            Span.of(Kind.DAY, day),
            _USAGE(*numbers),
            known,
            expected,
            complete,
            closed=complete and verified_at >= closed_at(clock, day),
        )
        for day, verified_at, known, expected, complete, *numbers in rows
    }


def _half_hours(con: duckdb.DuckDBPyConnection, operation: Operation, day: date, now: datetime) -> list[Part]:
    these = {"operation": operation.name, "day": day}
    used = con.execute(
        f"SELECT time_bucket(INTERVAL 30 MINUTE, window_start), {_SUMS} FROM agent_9_windows"  # noqa: S608  # fixed columns
        " WHERE operation = $operation AND local_date = $day GROUP BY ALL",
        these,
    ).fetchall()
    known = con.execute(
        "SELECT time_bucket(INTERVAL 30 MINUTE, window_start), COUNT(*) FROM agent_9_window_log"
        " WHERE operation = $operation AND local_date = $day AND fetched_at <= $credible GROUP BY ALL",
        these | {"credible": credible_until(now)},
    ).fetchall()
    usage = {start: _USAGE(*numbers) for start, *numbers in used}
    windows = dict(known)
    midnight = datetime.combine(day, datetime.min.time())
    return [
        Part(
            start,
            usage.get(start, AGENT_9.nothing),
            windows.get(start, 0),
            _shown(operation.clock, start),
        )
        for start in (midnight + _HALF_HOUR * n for n in range(48))
    ]


def _shown(clock: WallClock, half_hour: datetime) -> int:
    """How many windows of it the clock shows: none in the hour that is skipped when clocks go forward."""
    return sum(clock.shows(half_hour + WINDOW * n) for n in range(_HALF_HOUR // WINDOW))


def _counted(operation: Operation, span: Span, days: Collection[date]) -> Iterator[date]:
    """The days of the span that belong to the operation's history, or of which something is known all the same."""
    return (day for day in span.days() if day >= operation.start or day in days)


def _by_day(operation: Operation, span: Span, days: Mapping[date, Day]) -> list[Part]:
    parts = []
    for day in _counted(operation, span, days):
        midnight = datetime.combine(day, datetime.min.time())
        if day in days:
            parts.append(Part(midnight, days[day].usage, days[day].known, days[day].expected))
        else:
            parts.append(Part(midnight, AGENT_9.nothing, 0, len(operation.clock.windows_of_day(day))))
    return parts


def _comparison(con: duckdb.DuckDBPyConnection, operation: Operation, span: Span) -> Comparison | None:
    """None where no window of the span is known then as well."""
    before = Span(span.first - span.back, span.last - span.back, span.kind)
    rows = con.execute(
        resources.files(__package__).joinpath("comparison.sql").read_text("utf-8"),
        {
            "operation": operation.name,
            "first": span.first,
            "last": span.last,
            "first_then": before.first,
            "last_then": before.last,
            "back": span.back,
        },
    ).fetchall()
    if not rows:
        return None
    (windows, *now), (_, *then) = rows
    return Comparison(before, windows, _USAGE(*now), _USAGE(*then))
