"""What runs by itself: the tick every five minutes, history, and telling when something is wrong.

What belongs here: jobs, schedules and sensors: when a run is started, and when it is not. What doesn't: what
a run does (`run/`, `pipeline/`), what is due (`pipeline/due_work.py`).
"""

import dagster as dg

from wolkvox_assets.orchestration.automation.alerts import build_alerts
from wolkvox_assets.orchestration.automation.gaps import build_gaps
from wolkvox_assets.orchestration.automation.live import build_live
from wolkvox_assets.orchestration.location import CodeLocation


def build_automation(location: CodeLocation) -> dg.Definitions:
    """The jobs, schedules and sensors of all operations."""
    settings = location.settings
    if not settings.operations:
        return dg.Definitions(sensors=[build_alerts(location)] if settings.problems else [])
    job, schedule, tick = build_live(location)
    return dg.Definitions(
        jobs=[job],
        schedules=[schedule],
        sensors=[
            *(build_gaps(location, operation) for operation in settings.operations),
            build_alerts(location),
        ],
        resources={"tick": tick},
    )
