"""What a run says of how far it is: often enough, and not too often."""

import logging
from datetime import UTC, date, datetime

import pytest

from wolkvox_assets.pipeline.commit import Batch
from wolkvox_assets.pipeline.progress import Progress
from wolkvox_assets.report.clocks import Moment
from wolkvox_assets.report.windows import WINDOW
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.windows import WindowContent

FIRST = datetime(2026, 11, 1)


def lines(windows: int, seconds_each: float, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of a run that stores a window at a time."""
    now = 0.0
    caplog.set_level(logging.INFO)
    caplog.clear()
    told = Progress(
        logging.getLogger("progress"), Operation(server="0013", start=date(2026, 11, 1)), windows, lambda: now
    )
    for n in range(windows):
        now += seconds_each
        start = FIRST + n * WINDOW
        content = WindowContent(
            start, start.replace(tzinfo=UTC), {}, "asked", start.replace(tzinfo=UTC), Moment("", n)
        )
        told.tell(Batch(windows=[content]))
    return [record.message for record in caplog.records]


def test_a_short_run_tells_each_commit_at_first(caplog: pytest.LogCaptureFixture) -> None:
    told = lines(4, 3, caplog)
    assert [line.split(" windows")[0] for line in told] == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert told[0].endswith("3 s; about 0:00:09 to go")


def test_a_month_at_a_second_a_window_tells_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    told = lines(8928, 1, caplog)
    assert 8928 / 60 <= len(told) <= 8928 / 60 + 30
    assert told[-1].startswith("8,928 of 8,928")
