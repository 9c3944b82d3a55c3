"""What a run draws: the day in a picture, and the HTML pages.

What belongs here: when a run draws, and that its failing to do so fails nothing else. What doesn't: drawing.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from math import inf

from wolkvox_assets.day_report.figures import read
from wolkvox_assets.day_report.files import TODAY_EVERY, ReportFiles
from wolkvox_assets.day_report.spans import Kind, Span
from wolkvox_assets.report.clocks import lately
from wolkvox_assets.report.plain_text import counted, visible
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.daily import DayStatus

# What a run that was for something else draws at its end; the next one goes on.
_SECONDS = 10.0
_REMEDY = "Change mode or owner of the folder `reports`, or make room. "
# A person who asks for days waits for another process that draws.
_PATIENCE_SECONDS = 60.0


class Reports:
    """The pictures and pages of one operation, in one run; of `agent_9` only. Whatever goes wrong is a warning in
    `log`.
    """

    def __init__(
        self, store: Store, operation: Operation, now: Callable[[], datetime], log: logging.Logger
    ) -> None:
        self._store, self._operation, self._now, self._log = store, operation, now, log
        self._files = ReportFiles(store, operation)
        self._drawn: dict[date, datetime] = {}
        self._draws = operation.report is AGENT_9  # pictures and pages are of hold and mute

    def pictures(self, days: Mapping[date, DayStatus]) -> dict[date, str]:
        """In Markdown, of those of these days that have closed, and of today, if there was none for a quarter of an
        hour.

        Marks stay for ever, so there are no others: a picture is 3 to 6 KB.
        """
        found: dict[date, str] = {}
        if not self._draws:
            return found
        now = self._now()
        today = self._operation.clock.now(now).date()
        wanted = [
            day
            for day, status in sorted(days.items())
            if (self._due(day, now) if day == today else status.complete)
        ]
        if not wanted:
            return found
        try:
            from wolkvox_assets.day_report import pictures  # takes 0.05 s of CPU, and most ticks draw nothing

            with self._store.reading() as con:
                figures = [
                    read(con, self._operation, Span.of(Kind.DAY, day), now)
                    for day in wanted
                    if con is not None
                ]
            for day in figures:
                first = day.span.first
                if day.closed or first == today:
                    found[first] = pictures.markdown_of(day)
                if first == today:
                    self._drawn[first] = now
        except Exception as error:  # noqa: BLE001  # what was stored is to be marked, whatever becomes of pictures
            self._warn(f"no picture of {wanted[0]} to {wanted[-1]}", error)
        return found

    def pages(self, *, only: Collection[date] | None = None, until: float = inf) -> None:
        """Write the pages that are out of date.

        `only`: all of those that these days are in; else what can be done in some seconds, and before `until`
        (monotonic seconds).
        """
        if not self._draws:
            return
        if only is None:
            until = min(until, time.monotonic() + _SECONDS)
        patience = 0.0 if only is None else _PATIENCE_SECONDS
        try:
            written = self._files.write(self._now(), only=only, until=until, patience=patience)
        except Exception as error:  # noqa: BLE001  # all is stored and marked; the next run tries again
            self._warn("no page was written", error)
            return
        for name, problem in written.failed.items():
            self._warn(f"no page of {name}", problem)
        if written.pages or written.left:
            more = f"; the next runs write {written.left} more" if written.left else ""
            self._log.info(f"Written in {self._files.folder}: {counted(written.pages, 'page')}{more}")

    def _due(self, day: date, now: datetime) -> bool:
        last = self._drawn.get(day)
        drawn = last is not None and lately(last, now, TODAY_EVERY)
        return not drawn and not self._files.lately(day, now)

    def _warn(self, what: str, error: Exception) -> None:
        said = visible(str(error))[:500].rstrip(".")
        self._log.warning(
            f"operation {self._operation.name}, reports: {what}: {type(error).__name__}: {said}. "
            f"{_REMEDY if isinstance(error, OSError) else ''}"
            "What was fetched is stored and marked all the same; the next run tries again."
        )
