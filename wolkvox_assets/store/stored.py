"""What is stored of one operation, as the sync asks for it.

The sync goes from months to days to windows, so that is how it is read: the totals of each day of a month
in one query, the windows of a day in another, each at most once while the sync is there. No database is
held open in between, and never more than a month's days and two days' windows are in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache, partial

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.measures import Agents, Usage, add_up
from wolkvox_assets.report.windows import Range
from wolkvox_assets.store.evidence import agreed_hours
from wolkvox_assets.store.face import Store
from wolkvox_assets.store.tables import Tables, reading

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class _Part:
    """A day, or a window: how many windows of it are known, and their sums."""

    known: int
    agents: Agents


class StoredWindows:
    """The stored windows of an operation's report (a `sync.Stored`). Wall clock throughout.

    What is committed after a day was first read is not seen: the sync reads a range only before it says
    anything about it.
    """

    def __init__(self, store: Store, operation: str, report: Report) -> None:
        self._report = report
        self._reading = partial(reading, store, operation, report)
        # A month at a time, and the day before the one that is being read.
        self._days = lru_cache(maxsize=2)(self._read_days)
        self._windows = lru_cache(maxsize=2)(self._read_windows)
        self._busy_hours = lru_cache(maxsize=2)(self._read_busy_hours)

    def known(self, r: Range, /) -> int:
        return sum(part.known for part in self._parts(r))

    def totals(self, r: Range, /) -> Agents:
        return add_up(part.agents for part in self._parts(r))

    def derived(self, r: Range, /) -> Sequence[datetime]:
        return self._known_by(r, ["derived"])

    def not_asked(self, r: Range, /) -> Sequence[datetime]:
        return self._known_by(r, ["derived", "empty_range"])

    def _known_by(self, r: Range, sources: Sequence[str]) -> Sequence[datetime]:
        with self._reading() as tables:
            return _known_by(tables, r, sources) if tables else []

    def asked(self, r: Range, /) -> dict[datetime, bool]:
        with self._reading() as tables:
            if tables is None:
                return {}
            agreed = agreed_hours(tables, r)
            return {w: w.replace(minute=0) in agreed for w in _known_by(tables, r, ["asked"])}

    def busy_hours(self, day: date, /) -> Range | None:
        """Those of the nearest of its weekdays that is stored, or else of the nearest day."""
        return self._busy_hours(day)

    def _read_busy_hours(self, day: date) -> Range | None:
        with self._reading() as tables:
            if tables is None:
                return None
            found = tables.execute(
                # Of nearly all agents: one who works late says nothing about the others' day.
                "SELECT local_date, date_trunc('hour', quantile_disc(first_window, 0.1)),"
                " date_trunc('hour', quantile_disc(last_window, 0.9)) + INTERVAL 1 HOUR FROM {agent_days}"
                " WHERE operation = $operation AND local_date <> $day"
                "  AND local_date BETWEEN $day - INTERVAL 28 DAY AND $day + INTERVAL 28 DAY GROUP BY local_date"
                " ORDER BY dayofweek(local_date) <> dayofweek($day), abs(local_date - $day) LIMIT 1",
                day=day,
            ).fetchone()
        if found is None:
            return None
        like, first, last = found
        return Range(first + (day - like), last + (day - like))

    def _parts(self, r: Range) -> list[_Part]:
        """The days and, where a day is not whole, the windows that make up this range."""
        parts: list[_Part] = []
        midnight = datetime.combine(r.start.date(), datetime.min.time())
        while midnight < r.end:
            day = Range(max(r.start, midnight), min(r.end, midnight + _DAY))
            if len(day) == _DAY // timedelta(minutes=5):
                whole = self._days(midnight.year, midnight.month).get(midnight.date())
                parts.extend([whole] if whole else [])
            else:
                windows = self._windows(midnight.date())
                parts.extend(part for window, part in windows.items() if day.start <= window < day.end)
            midnight += _DAY
        return parts

    def _read_days(self, year: int, month: int) -> dict[date, _Part]:
        first = date(year, month, 1)
        last = (first + timedelta(days=31)).replace(day=1) - _DAY
        return self._read("local_date", first, last)

    def _read_windows(self, day: date) -> dict[datetime, _Part]:
        return self._read("window_start", day, day)  # type: ignore[return-value]  # keys are window_start

    def _read(self, by: str, first: date, last: date) -> dict[date, _Part]:
        these = f"WHERE operation = $operation AND local_date BETWEEN $first AND $last GROUP BY {by}"
        with self._reading() as tables:
            if tables is None:
                return {}
            known = tables.execute(
                f"SELECT {by}, COUNT(*) FROM {{window_log}} {these}",  # noqa: S608  # one of two columns
                first=first,
                last=last,
            ).fetchall()
            rows = tables.execute(
                f"SELECT {by}, agent_name, [[SUM(#)::BIGINT]] FROM {{windows}} {these}, agent_name",  # noqa: S608
                first=first,
                last=last,
            ).fetchall()
        agents: dict[date, dict[str, Usage]] = {}
        for key, name, *numbers in rows:
            agents.setdefault(key, {})[name] = self._report.usage(*numbers)
        return {key: _Part(count, agents.get(key, {})) for key, count in known}


def _known_by(tables: Tables, r: Range, sources: Sequence[str]) -> list[datetime]:
    """The known windows of this range that came to be known in one of these ways."""
    found = tables.execute(
        "SELECT window_start FROM {window_log} WHERE operation = $operation AND window_start >= $start"
        " AND window_start < $end AND list_contains($sources, source) ORDER BY window_start",
        start=r.start,
        end=r.end,
        sources=sources,
    ).fetchall()
    return [window for (window,) in found]
