"""What runs by itself: the tick every five minutes, history, telling when something is wrong, and clearing up.

What belongs here: jobs, schedules and sensors: when a run is started, and when it is not. What doesn't: what
a run does (`run/`, `pipeline/`), what is due (`pipeline/to_do.py`).
"""

import dagster as dg

from wolkvox_assets.orchestration.automation.alerts import build_alerts
from wolkvox_assets.orchestration.automation.gaps import build_gaps
from wolkvox_assets.orchestration.automation.live import build_live
from wolkvox_assets.orchestration.automation.run_history import build_run_history
from wolkvox_assets.orchestration.location import CodeLocation


def build_automation(location: CodeLocation) -> dg.Definitions:
    """The jobs, schedules and sensors of all operations."""
    settings = location.settings
    if not settings.operations:
        return dg.Definitions(sensors=[build_alerts(location)] if settings.problems else [])
    live, live_schedule, tick = build_live(location)
    prune, prune_schedule = build_run_history(location)
    return dg.Definitions(
        jobs=[live, prune],
        schedules=[live_schedule, prune_schedule],
        sensors=[
            *(build_gaps(location, operation) for operation in settings.operations),
            build_alerts(location),
        ],
        resources={"tick": tick},
    )
