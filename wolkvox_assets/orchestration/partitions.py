"""How an operation's time is cut: five minutes and days, both on its own wall clock.

One time zone for both, or Dagster can't map days onto windows.
"""

from datetime import datetime

import dagster as dg

from wolkvox_assets.report.windows import WINDOW
from wolkvox_assets.settings import Operation


def window_partitions(operation: Operation) -> dg.TimeWindowPartitionsDefinition:
    """Keys such as `2026-11-16T08:05`. A partition exists once its five minutes are over."""
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule="*/5 * * * *",
        start=f"{operation.start:%Y-%m-%d}T00:00",
        timezone=operation.timezone,
        fmt="%Y-%m-%dT%H:%M",
    )


def day_partitions(operation: Operation) -> dg.DailyPartitionsDefinition:
    """Keys such as `2026-11-16`. Today has a partition too: its totals are wanted while it goes on."""
    return dg.DailyPartitionsDefinition(
        start_date=f"{operation.start:%Y-%m-%d}", timezone=operation.timezone, end_offset=1
    )


def month_partitions(operation: Operation) -> dg.MonthlyPartitionsDefinition:
    """Keys such as `2026-11-01`. The month that goes on has one too."""
    return dg.MonthlyPartitionsDefinition(
        start_date=f"{operation.start:%Y-%m}-01", timezone=operation.timezone, end_offset=1
    )


def windows_key(operation: Operation) -> dg.AssetKey:
    """The asset key of the operation's windows."""
    return dg.AssetKey([operation.name, operation.report.names.windows])


def keys_of_window(
    partitions: dg.TimeWindowPartitionsDefinition, operation: Operation, window: datetime
) -> list[str]:
    """The partition keys of a window: one, and two in the hour that is passed twice.

    Both passes are the same window with one answer, so what holds for one partition holds for the other.
    """
    first = operation.clock.start_utc(window)
    last = operation.clock.end_utc(window) - WINDOW
    if first == last:
        return [f"{window:{partitions.fmt}}"]  # Dagster takes half a millisecond to come to the same
    return [
        key
        for start in sorted({first, last})
        for key in partitions.get_partition_keys_in_time_window(dg.TimeWindow(start, start + WINDOW))
    ]
