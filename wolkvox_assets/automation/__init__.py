"""What runs by itself: live windows every five minutes, gaps and history, and telling when something is wrong.

What belongs here: jobs, schedules and sensors: when a run is started, and when it is not. What doesn't: what
a run does (`assets/`), what is due (`duties.py`).
"""

import dagster as dg

from wolkvox_assets.automation.alerts import build_alerts
from wolkvox_assets.automation.gaps import build_gaps
from wolkvox_assets.automation.live import build_live
from wolkvox_assets.settings import Operation, Settings


def build_automation(
    settings: Settings, pools: dict[str, str], sharers: dict[str, tuple[Operation, ...]]
) -> dg.Definitions:
    """The jobs, schedules and sensors of every operation."""
    jobs: list[dg.JobDefinition] = []
    schedules: list[dg.ScheduleDefinition] = []
    sensors: list[dg.SensorDefinition] = []
    for operation in settings.operations:
        job, schedule = build_live(operation, settings, pools[operation.name], sharers[operation.name])
        jobs.append(job)
        schedules.append(schedule)
        job, sensor = build_gaps(operation, settings, pools[operation.name], sharers[operation.name])
        jobs.append(job)
        sensors.append(sensor)
    if settings.operations or settings.problems:
        sensors.append(build_alerts(settings))
    return dg.Definitions(jobs=jobs, schedules=schedules, sensors=sensors)
