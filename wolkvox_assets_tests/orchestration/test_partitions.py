"""The keys of windows are Dagster's own."""

from datetime import date, datetime, timedelta

import dagster as dg
import pytest

from wolkvox_assets.orchestration.partitions import keys_of_window, window_partitions
from wolkvox_assets.settings import Operation

DAYS = [
    ("America/Bogota", date(2026, 1, 1)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2025, 11, 2)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # by half an hour
    ("America/Santiago", date(2026, 4, 4)),  # at midnight
]


@pytest.mark.parametrize(("timezone", "day"), DAYS)
def test_a_windows_keys_are_dagsters_own(timezone: str, day: date) -> None:
    operation = Operation(server="0013", start=day, timezone=timezone)
    partitions, clock = window_partitions(operation), operation.clock
    midnight = datetime.combine(day, datetime.min.time())
    start, end = clock.start_utc(midnight), clock.start_utc(midnight + timedelta(days=1))
    keys = partitions.get_partition_keys_in_time_window(dg.TimeWindow(start, end))
    ours = {
        key for window in clock.windows_of_day(day) for key in keys_of_window(partitions, operation, window)
    }
    assert ours == set(keys)
    assert len(keys) == clock.passes_of_day(day)
    for window, key in zip(clock.passes(start, end), keys, strict=True):
        assert key in keys_of_window(partitions, operation, window)
