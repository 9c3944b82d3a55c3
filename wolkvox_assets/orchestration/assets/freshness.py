"""How new the assets have to be, for Dagster's freshness.

What belongs here: its policies. What doesn't: how new the newest window is (`checks/windows.py`).

Dagster looks at the newest mark of an asset, whatever partition it is of. So a run that loads history keeps all three
green while nothing new comes in, and there is no policy that looks at the partition. What tells then are the checks
`newest_window_is_recent` and `closed_days_are_whole`. Freshness tells what these can't: that nothing runs at all.
"""

from datetime import timedelta

import dagster as dg

from wolkvox_assets.checks import OLD_AFTER, READY_AFTER, STALE_AFTER
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.pipeline.due_work import SETTLED_AFTER
from wolkvox_assets.settings import Operation


def fresh_windows(location: CodeLocation) -> dg.FreshnessPolicy | None:
    """A mark every five minutes. None where nothing starts by itself: then nothing is late."""
    if not location.settings.automation:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=STALE_AFTER, warn_window=OLD_AFTER)


def fresh_days(location: CodeLocation, operation: Operation) -> dg.FreshnessPolicy | None:
    """A mark between the close of yesterday and the hour at which it is to be verified, each day."""
    if not location.settings.automation:
        return None
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"0 {READY_AFTER // timedelta(hours=1)} * * *",
        lower_bound_delta=READY_AFTER - SETTLED_AFTER,
        timezone=operation.timezone,
    )
