"""A store with made-up windows of some days, for reports of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from wolkvox_assets.day_report.figures import Beside, Figures, beside, read
from wolkvox_assets.day_report.files import ReportFiles
from wolkvox_assets.day_report.spans import Kind, Span
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.daily import rebuild_days
from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.store.tables import agent_9, content, replace_windows

MONDAY = date(2026, 11, 16)
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)

Windows = Mapping[datetime, Mapping[str, Usage]]


def used(hold: int, mute: int = 0, count: int = 1) -> Usage:
    return Usage(count, hold, mute, hold + mute)


def at(hour: int, minute: int = 0, day: date = MONDAY) -> datetime:
    return datetime.combine(day, datetime.min.time()) + timedelta(hours=hour, minutes=minute)


@dataclass
class Centre:
    """An operation of which `know` stores what is known."""

    store: FileStore
    operation: Operation

    def know(
        self, day: date, used: Windows | None = None, *, until: int = 288, fetched_at: datetime | None = None
    ) -> None:
        """The first so many windows of the day, empty but for these; had two hours after its end."""
        fetched_at = fetched_at or datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=31)
        windows = self.operation.clock.windows_of_day(day)[:until]
        with self.store.transaction() as con:
            contents = [content(w, (used or {}).get(w), fetched_at=fetched_at) for w in windows]
            replace_windows(agent_9(con, self.operation.name), contents, run_id="made-up")
            whole = len(self.operation.clock.windows_of_day(day))
            rebuild_days(agent_9(con, self.operation.name), {day: whole}, NOW)

    def read(self, kind: Kind = Kind.DAY, day: date = MONDAY) -> tuple[Figures, Beside]:
        span = Span.of(kind, day)
        with self.store.reading() as con:
            assert con is not None
            return read(con, self.operation, span, NOW), beside(con, self.operation, span)

    @property
    def files(self) -> ReportFiles:
        return ReportFiles(self.store, self.operation)


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(FileStore(tmp_path / "data"), Operation(server="0013", start=date(2026, 11, 2)))
