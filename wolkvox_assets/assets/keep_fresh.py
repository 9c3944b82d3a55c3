"""What is most urgent, done within a run: new windows, then settled hours and closed days.

What belongs here: the order in which duties are done, and doing them between two requests of a run that
holds the token for long. What doesn't: what is due (`duties.py`), how windows are made true
(`synchronise.py`), starting runs (`automation/`).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets import duties
from wolkvox_assets.assets.synchronise import Context, make_windows_true
from wolkvox_assets.resources import StoreResource
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store import Store
from wolkvox_assets.store.gaps import verified
from wolkvox_assets.store.verdicts import latest_verdict
from wolkvox_assets.windows import Range

_HEARTBEAT_SECONDS = 120.0  # Dagster's daemons report every 30 s


def keep_fresh(context: Context, operation: Operation, delay: timedelta) -> None:
    """Ask the windows that have just closed, then verify hours that settled and days that closed.

    `delay`: how long after its end a window is first asked. Raises `dg.Failure`.
    """
    files: StoreResource = context.resources.store
    due = duties.live_windows(
        operation, lambda r: _verified(files.store, operation, r), datetime.now(UTC), delay
    )
    make_windows_true(context, operation, due)
    # Looked up only now: what was just fetched may complete an hour.
    with files.store.reading() as con:
        verdict = latest_verdict(con, operation.name) if con else None
    now = datetime.now(UTC)
    trust = duties.trust_in((verdict.proved_at, verdict.holds) if verdict else None, now)
    make_windows_true(
        context,
        operation,
        duties.to_verify(operation, lambda r: _verified(files.store, operation, r), trust, now),
        held_back=duties.live_need(operation, now),
    )


def between_requests(
    context: Context, settings: Settings, sharers: tuple[Operation, ...]
) -> Callable[[], None] | None:
    """For a run that holds the token for long: does what is due of all operations that share it, each time a
    window has closed. None where nothing runs by itself: then a range is just that range."""
    if not settings.automation or not _daemon_lives(context.instance):
        return None
    due = datetime.now(UTC)

    def serve() -> None:
        nonlocal due
        if datetime.now(UTC) < due:
            return
        for operation in sharers:
            try:
                keep_fresh(context, operation, settings.live_delay)
            except dg.Failure as failure:
                # The run goes on: what it does may still work, and if not, it fails by itself. The live run
                # of that operation, when its turn comes, fails with the same words and is heard.
                context.log.warning(f"Could not keep {operation.name} fresh meanwhile: {failure.description}")
        due = duties.next_live(datetime.now(UTC), settings.live_delay)

    return serve


def _daemon_lives(instance: dg.DagsterInstance) -> bool:
    """Whether schedules are carried out on this instance: a command line may run without a daemon."""
    heartbeat = instance.get_daemon_heartbeats().get("SCHEDULER")
    return heartbeat is not None and datetime.now(UTC).timestamp() - heartbeat.timestamp < _HEARTBEAT_SECONDS


def _verified(store: Store, operation: Operation, stretch: Range) -> dict[datetime, datetime]:
    with store.reading() as con:
        return verified(con, operation.name, stretch.start, stretch.end) if con else {}
