"""How an operation's time is cut: five minutes and days, both on its own wall clock.

One time zone for both, or Dagster can't map days onto windows.
"""

import dagster as dg

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
