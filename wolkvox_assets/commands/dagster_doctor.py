"""What `doctor` finds in Dagster's settings and records: a `dagster.yaml` of before, and schedules and sensors that
wait for a moment in the future.

What belongs here: reading Dagster's instance. What doesn't: changing anything in it.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

_TOLERANCE = timedelta(minutes=5)  # a sensor's next tick, and a clock that was corrected a little


def findings() -> list[str]:
    """What to do about Dagster. Nothing where no `dagster.yaml` says what the instance is, or it has stored nothing
    yet.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or Path.cwd()).absolute()
    if not (home / "dagster.yaml").is_file() or not Path(".dagster", "schedules").is_dir():
        return []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return [*_old_settings(instance, home), *_future_ticks(instance)]


def _old_settings(instance: dg.DagsterInstance, home: Path) -> Iterator[str]:
    granularity = instance.get_settings("concurrency").get("pools", {}).get("granularity")
    if granularity != "run":
        yield (
            f"{home / 'dagster.yaml'} is of an earlier release: it works, but each run that waits for its token waits "
            "in a process of its own. Copy the dagster.yaml of this release over it, and restart Dagster."
        )


def _future_ticks(instance: dg.DagsterInstance) -> Iterator[str]:
    """Where the last tick of a schedule or sensor that is on lies in the future, Dagster starts nothing of it before
    that moment.
    """
    latest = datetime.now(UTC) + _TOLERANCE
    for state in instance.all_instigator_state():
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if state.is_running and ticks and ticks[0].timestamp > latest.timestamp():
            until = datetime.fromtimestamp(ticks[0].timestamp, UTC)
            yield (
                f"{state.name} starts nothing before {until:%Y-%m-%d %H:%M:%S} UTC: this machine's clock was set "
                "back. Wait, or stop Dagster, remove the folder .dagster/schedules (ticks, and which schedules "
                "and sensors were switched in the UI), and start it again."
            )
