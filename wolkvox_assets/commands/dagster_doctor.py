"""What `doctor` finds in Dagster's settings and records: a `dagster.yaml` of before, schedules and sensors that are
off, silent, or wait for a moment in the future, places in a pool that are held by runs that have ended, and checks that
failed and block.

What belongs here: reading Dagster's instance. What doesn't: changing anything in it.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from wolkvox_assets.orchestration.automation.alerts import ALERTS
from wolkvox_assets.orchestration.automation.gaps import sensor_name
from wolkvox_assets.orchestration.automation.live import LIVE_SCHEDULE
from wolkvox_assets.orchestration.checks import refused
from wolkvox_assets.settings import Settings

_TOLERANCE = timedelta(minutes=5)  # a sensor's next tick, and a clock that was corrected a little
_SILENT_AFTER = timedelta(minutes=15)  # each of them ticks every five minutes, or more often


def findings(settings: Settings) -> list[tuple[bool, str]]:
    """Whether something is wrong with Dagster, and what to do. Nothing where no `dagster.yaml` says what the instance
    is, or it has stored nothing yet.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or Path.cwd()).absolute()
    if not (home / "dagster.yaml").is_file() or not Path(".dagster", "schedules").is_dir():
        return []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return [
            *((False, finding) for finding in _old_settings(instance, home)),
            *_ticks(instance, settings),
            *((False, finding) for finding in _stale_slots(instance)),
            *((False, finding) for finding in refused(instance, settings.operations).values()),
        ]


def _old_settings(instance: dg.DagsterInstance, home: Path) -> Iterator[str]:
    granularity = instance.get_settings("concurrency").get("pools", {}).get("granularity")
    if granularity != "run":
        yield (
            f"{home / 'dagster.yaml'} is of an earlier release: it works, but each run that waits for its token waits "
            "in a process of its own. Copy the dagster.yaml of this release over it, and restart Dagster."
        )


def _ticks(instance: dg.DagsterInstance, settings: Settings) -> Iterator[tuple[bool, str]]:
    now = datetime.now(UTC)
    ours = {LIVE_SCHEDULE, ALERTS, *map(sensor_name, settings.operations)}
    for state in sorted(instance.all_instigator_state(), key=lambda state: state.name):
        if state.name not in ours:
            continue
        if not state.is_running:
            yield True, f"{state.name} is off: what it does is not done until it is switched on in the UI"
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        last = datetime.fromtimestamp(ticks[0].timestamp, UTC) if ticks else None
        if last is None:
            continue
        if last > now + _TOLERANCE:
            # Dagster starts nothing of it before that moment.
            said = (
                f"{state.name} starts nothing before {last:%Y-%m-%d %H:%M:%S} UTC: this machine's clock was set "
                "back. Wait, or stop Dagster, remove the folder .dagster/schedules (ticks, and which schedules "
                "and sensors were switched in the UI), and start it again."
            )
            yield False, said
        elif last < now - _SILENT_AFTER:
            said = (
                f"{state.name} was last heard of at {last:%Y-%m-%d %H:%M:%S} UTC: Dagster's daemon is not running, or "
                "cannot load the code location. Start it (make dev), and look at its log."
            )
            yield False, said


def _stale_slots(instance: dg.DagsterInstance) -> Iterator[str]:
    storage = instance.event_log_storage
    for pool in sorted(storage.get_concurrency_keys()):
        for run_id in sorted(storage.get_concurrency_info(pool).active_run_ids):
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                yield (
                    f"the place in pool {pool} is held by run {run_id}, which has ended. Dagster's daemon frees it "
                    "after a while; else free it in the UI (Deployment, Concurrency)."
                )
