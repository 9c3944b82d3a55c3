"""What runs by itself: the tick every five minutes, history, and telling when something is wrong.

What belongs here: jobs, schedules and sensors: when a run is started, and when it is not. What doesn't: what
a run does (`assets/`, `pipeline/`), what is due (`duties.py`).
"""

import dagster as dg

from wolkvox_assets.automation.alerts import build_alerts
from wolkvox_assets.automation.gaps import build_gaps
from wolkvox_assets.automation.live import build_live
from wolkvox_assets.settings import Settings


def build_automation(settings: Settings, pools: dict[str, str]) -> dg.Definitions:
    """The jobs, schedules and sensors of all operations. `pools`: of each operation, by token."""
    if not settings.operations:
        return dg.Definitions(sensors=[build_alerts(settings)] if settings.problems else [])
    job, schedule, tick = build_live(settings, pools)
    return dg.Definitions(
        jobs=[job],
        schedules=[schedule],
        sensors=[
            *(build_gaps(operation, settings) for operation in settings.operations),
            build_alerts(settings),
        ],
        resources={"tick": tick},
    )
