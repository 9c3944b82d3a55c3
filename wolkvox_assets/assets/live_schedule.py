"""Whether live windows of an operation come by themselves on this instance.

What belongs here: the names of the job and its schedule, and whether a daemon carries it out. What doesn't: the
two themselves (`automation/live.py`).
"""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus

from wolkvox_assets.quota import quota_group
from wolkvox_assets.settings import Operation, Settings

_HEARTBEAT_SECONDS = 120.0  # Dagster's daemons report every 30 s


def live_job_name(operation: str) -> str:
    return f"{operation}_live"


def live_schedule_name(operation: Operation) -> str:
    return f"{live_job_name(operation.name)}_schedule"


def with_live_windows(
    instance: dg.DagsterInstance, settings: Settings, operations: tuple[Operation, ...]
) -> list[Operation]:
    """Those of the operations whose live schedule is on. None without a daemon: a command line may run alone."""
    heartbeat = instance.get_daemon_heartbeats().get("SCHEDULER")
    if heartbeat is None or datetime.now(UTC).timestamp() - heartbeat.timestamp > _HEARTBEAT_SECONDS:
        return []
    # Only what somebody has switched in the UI is stored as on or off; all else is as it was declared.
    switched = {
        state.instigator_name: state.status is InstigatorStatus.RUNNING
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        if state.status in {InstigatorStatus.RUNNING, InstigatorStatus.STOPPED}
    }
    return [o for o in operations if switched.get(live_schedule_name(o), settings.automation)]


def live_of_quota(instance: dg.DagsterInstance, settings: Settings, operation: Operation) -> int:
    """How many operations' live windows come first where the quota of this operation gets scarce."""
    return len(with_live_windows(instance, settings, tuple(quota_group(operation, settings.operations))))
