"""The word that a run leaves when a day's quota is used up, for all that would ask next.

What belongs here: leaving it, as a tag of the run, and finding it. What doesn't: when to stop (`quota.py`).
"""

from datetime import datetime

import dagster as dg

from wolkvox_assets.quota import goes_on_at
from wolkvox_assets.settings import Operation


def _everything(operation: Operation) -> str:
    return f"wolkvox/quota_until/{operation.name}"


def _history(operation: Operation) -> str:
    return f"wolkvox/history_quota_until/{operation.name}"


def leave_word(
    instance: dg.DagsterInstance,
    run_id: str,
    operation: Operation,
    stopped_at: datetime,
    *,
    live_goes_on: bool,
) -> datetime:
    """Tag the run, which may serve several operations. Returns when asking may go on (aware)."""
    turn = goes_on_at(stopped_at)
    tag = _history(operation) if live_goes_on else _everything(operation)
    instance.add_run_tags(run_id, {tag: turn.isoformat()})
    return turn


def quota_waits(
    instance: dg.DagsterInstance, operation: Operation, now: datetime, *, live: bool
) -> datetime | None:
    """When asking may go on (aware), if the quota is used up at `now`: for live windows, or for all others."""
    turn = goes_on_at(now)
    for tag in [_everything(operation)] if live else [_everything(operation), _history(operation)]:
        if instance.get_runs(filters=dg.RunsFilter(tags={tag: turn.isoformat()}), limit=1):
            return turn
    return None
