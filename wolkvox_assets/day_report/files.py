"""The pages as files: `reports/<operation>/2026-11-16.html`, `2026-W47.html`, `2026-11.html`, and what leads there.

What belongs here: which pages are out of date, writing each whole or not at all, and only where it is another. What
doesn't: what stands in them.

What each page was made from is remembered beside the pages. So whoever comes next finds what is left to do: after a run
that was killed, in a store of an older release, with pages that somebody has deleted.
"""

import json
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from filelock import FileLock, Timeout

from wolkvox_assets.day_report.figures import DayState, beside, day_states, listed_days, read
from wolkvox_assets.day_report.spans import Kind, Span, spans_of
from wolkvox_assets.report.clocks import lately
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.disk import make_folder

TODAY_EVERY = timedelta(minutes=15)
"""What still goes on is drawn anew so often at most."""

_MADE_AT = re.compile(rb"<time>[^<]*</time>")
"""In a page, when it was made: by itself no reason to write it anew. Nobody's name can look like it."""

_AT_A_TIME = 20  # read together, so that the published file is held open for a moment only


class Written(NamedTuple):
    """How many pages are others than they were, and how many there was no time for. `failed`: those that could not be
    made, by name.
    """

    pages: int = 0
    left: int = 0
    failed: Mapping[str, Exception] = MappingProxyType({})


class _Made(NamedTuple):
    """What a page was made from (a digest), and when (UTC)."""

    digest: str
    at: datetime


class ReportFiles:
    """The pages of one operation, below the data folder of `store`."""

    def __init__(self, store: Store, operation: Operation) -> None:
        self._store, self._operation = store, operation
        self._reports = store.folder / "reports"
        self.folder = self._reports / operation.name
        self._made_file = self.folder / ".made.json"

    def page(self, span: Span) -> Path:
        return self.folder / f"{span.name}.html"

    def lately(self, day: date, now: datetime) -> bool:
        """Whether the page of this day, if it still goes on, was made too short a time ago to be made again."""
        made = self._made().get(Span.of(Kind.DAY, day).name)
        return made is not None and lately(made.at, now, TODAY_EVERY)

    def write(
        self, now: datetime, *, only: Collection[date] | None = None, until: float = inf, patience: float = 0
    ) -> Written:
        """Make the pages that are out of date, newest first. Nothing is done where another process is at it for longer
        than `patience` seconds.

        `only`: those that any of these days is in. `until` (monotonic seconds): none is begun after it.
        """
        with self._store.reading() as con:
            days = day_states(con, self._operation) if con is not None else {}
        if not days and not self.folder.exists():
            return Written()
        make_folder(self.folder)
        lock = FileLock(self.folder / ".lock", mode=0o600, fallback_to_soft=False)
        try:
            with lock.acquire(timeout=patience, poll_interval=0.1):
                return self._write(days, now, only, until)
        except Timeout:
            return Written()

    def _write(
        self, days: Mapping[date, DayState], now: datetime, only: Collection[date] | None, until: float
    ) -> Written:
        made, wanted, spans = self._made(), {}, spans_of(days)
        there = {file.stem for file in self.folder.glob("*.html")}
        for span in spans:
            digest = self._digest(span, days)
            old = made.get(span.name)
            if old is not None and old.digest == digest and span.name in there:
                continue
            goes_on = not all(days[day].closed for day in span.days() if day in days)
            if only is None:
                due = not (goes_on and old is not None and lately(old.at, now, TODAY_EVERY))
            else:
                due = any(day in span for day in only)
            if due:
                wanted[span] = digest
        gone = made.keys() - {span.name for span in spans}
        if not wanted and not gone:
            return Written()
        written, left, failed = 0, list(wanted), dict[str, Exception]()
        while left and time.monotonic() < until:
            batch, left = left[:_AT_A_TIME], left[_AT_A_TIME:]
            for span, outcome in self._draw(batch, days, now):
                if isinstance(outcome, Exception):
                    failed[span.name] = outcome
                else:
                    written += outcome
                    made[span.name] = _Made(wanted[span], now)
        for name in gone:
            (self.folder / f"{name}.html").unlink(missing_ok=True)
            del made[name]
        self._write_indexes(now)
        kept = {name: (digest, f"{at:%Y-%m-%dT%H:%M:%S}") for name, (digest, at) in sorted(made.items())}
        write_whole(self._made_file, json.dumps(kept, indent=0))
        return Written(written, len(left), failed)

    def _draw(
        self, batch: Iterable[Span], days: Iterable[date], now: datetime
    ) -> Iterator[tuple[Span, bool | Exception]]:
        """Each span, and whether its page is another now, or why it could not be made: that stops no other."""
        from wolkvox_assets.day_report import pages  # takes 0.05 s of CPU, and most runs draw nothing

        with self._store.reading() as con:
            if con is None:
                return
            found = [
                (read(con, self._operation, span, now), beside(con, self._operation, span)) for span in batch
            ]
        written = [Span.of(Kind.DAY, day) for day in days]
        for figures, more in found:
            try:
                page = pages.report(figures, more, self._operation.timezone, written)
                yield figures.span, write_whole(self.page(figures.span), page)
            except Exception as error:  # noqa: BLE001  # whatever it is: told by who called
                yield figures.span, error

    def _write_indexes(self, now: datetime) -> None:
        from wolkvox_assets.day_report import pages

        with self._store.reading() as con:
            listed = listed_days(con, self._operation) if con is not None else []
        there = [day for day in listed if self.page(day.span).exists()]
        write_whole(self.folder / "index.html", pages.index(self._operation.name, there))
        operations = sorted(file.parent.name for file in self._reports.glob("*/index.html"))
        write_whole(self._reports / "index.html", pages.operations_index(operations))

    def _digest(self, span: Span, days: Mapping[date, DayState]) -> str:
        """Of all that a page is made from: its days, those that they are compared with, and how a page is made."""
        seen = [days[day].seen if day in days else "" for day in span.days()]
        before = [days[day - span.back].seen if day - span.back in days else "" for day in span.days()]
        how = [_how(), self._operation.timezone, f"{self._operation.start}"]
        return sha256(json.dumps([how, seen, before]).encode()).hexdigest()[:16]

    def _made(self) -> dict[str, _Made]:
        """By the names of the spans; what can't be read was never made."""
        try:
            kept = json.loads(self._made_file.read_text("utf-8"))
            return {
                name: _Made(digest, datetime.fromisoformat(at).replace(tzinfo=UTC))
                for name, (digest, at) in kept.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def write_whole(file: Path, text: str) -> bool:
    """Whole or not at all, and only where it is another. Its group may read it. Returns whether it was."""
    content = text.encode()
    with suppress(OSError):
        if _MADE_AT.sub(b"", file.read_bytes()) == _MADE_AT.sub(b"", content):
            return False
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as temporary:
            temporary.write(content)
            temporary.flush()
            os.fchmod(descriptor, 0o640)
            os.fsync(descriptor)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True


@cache
def _how() -> str:
    """Another release may make other pages: a digest of this folder."""
    found = sha256()
    for file in _files(resources.files(__package__)):
        found.update(file.read_bytes())
    return found.hexdigest()


def _files(folder: Traversable) -> list[Traversable]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name != "__pycache__":
            found += _files(entry)
        elif entry.is_file():
            found.append(entry)
    return found
