"""What `doctor` finds in Dagster's own records: schedules and sensors that wait for a moment in the future.

What belongs here: reading Dagster's instance. What doesn't: changing anything in it.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

_TOLERANCE = timedelta(minutes=5)  # a sensor's next tick, and a clock that was corrected a little


def future_ticks() -> list[str]:
    """What to do where the last tick of a schedule or sensor that is on lies in the future: Dagster starts nothing
    of it before that moment. Nothing where no `dagster.yaml` says what the instance is, or it has stored nothing yet.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or Path.cwd()).absolute()
    if not (home / "dagster.yaml").is_file() or not Path(".dagster", "schedules").is_dir():
        return []
    latest = datetime.now(UTC) + _TOLERANCE
    found = []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for state in instance.all_instigator_state():
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
            if state.is_running and ticks and ticks[0].timestamp > latest.timestamp():
                until = datetime.fromtimestamp(ticks[0].timestamp, UTC)
                found.append(
                    f"{state.name} starts nothing before {until:%Y-%m-%d %H:%M:%S} UTC: this machine's clock was set "
                    "back. Wait, or stop Dagster, remove the folder .dagster/schedules (ticks, and which schedules "
                    "and sensors were switched in the UI), and start it again."
                )
    return found
