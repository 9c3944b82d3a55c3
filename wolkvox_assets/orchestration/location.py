"""What the assets, jobs, schedules and sensors of the code location share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from wolkvox_assets.orchestration.resources import StoreResource, WolkvoxResource, wolkvox_key
from wolkvox_assets.pipeline.quota import quota_group
from wolkvox_assets.pipeline.reconcile import Site
from wolkvox_assets.settings import Operation, Settings, read_token


@dataclass(frozen=True)
class CodeLocation:
    """`now`: what time it is (aware); tests have another."""

    settings: Settings
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def schedule(self, job: str, cron: str, description: str) -> dg.ScheduleDefinition:
        """`<job>_schedule`: starts it at these times (UTC)."""
        return dg.ScheduleDefinition(
            name=f"{job}_schedule",
            job_name=job,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=self.schedules_are,
            description=description,
        )

    @property
    def schedules_are(self) -> dg.DefaultScheduleStatus:
        """Whether a schedule starts by itself, as long as nobody has switched it in the UI."""
        on = self.settings.automation
        return dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED

    @property
    def sensors_are(self) -> dg.DefaultSensorStatus:
        """The same of a sensor."""
        on = self.settings.automation
        return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED

    def pool(self, operation: Operation) -> str:
        """Of all long work with the operation's token: named after the first of those that have it."""
        token = _token(operation)
        return next(f"wolkvox_{other.name}" for other in self.settings.operations if _token(other) == token)

    def site(self, operation: Operation, resources: Any, run_id: str) -> Site:
        """What work on this operation needs. `resources`: Dagster's, of the run."""
        store: StoreResource = resources.store
        wolkvox: WolkvoxResource = getattr(resources, wolkvox_key(operation))
        return Site(operation, store.store, run_id, wolkvox.open_client, self.live_first(operation), self.now)

    def live_first(self, operation: Operation) -> int:
        """How many operations' live windows come first where the quota of this one gets scarce."""
        return len(quota_group(operation, self.settings.operations)) if self.settings.automation else 0


def _token(operation: Operation) -> str:
    return read_token(operation.name, operation.token_env).get_secret_value()
