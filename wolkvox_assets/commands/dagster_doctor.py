"""What `doctor` finds in Dagster's settings and records: what an instance lacks that was not set up with our
`dagster.yaml`; schedules and sensors that are off, silent, or wait for a time in the future; pool slots held by runs
that have ended; and blocking checks that failed.

What belongs here: reading Dagster's instance. What doesn't: changing anything in it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from wolkvox_assets.orchestration.automation.alerts import ALERTS
from wolkvox_assets.orchestration.automation.gaps import sensor_name
from wolkvox_assets.orchestration.automation.live import LIVE_SCHEDULE
from wolkvox_assets.orchestration.checks import Refused, refused, while_loading
from wolkvox_assets.orchestration.instance import internals as dagster_internals
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.settings import Settings
from wolkvox_assets.store import StoreError

_TOLERANCE = timedelta(minutes=5)  # a sensor's next tick, and a clock that was corrected a little
_SILENT_AFTER = timedelta(minutes=15)  # each of them ticks every five minutes, or more often
_LEAST_ROOM = 100_000_000
_PLACES = 50  # as in our dagster.yaml: none waits for another


def findings(settings: Settings) -> list[tuple[bool, str]]:
    """Whether something is wrong with Dagster, and what to do. Nothing where neither `DAGSTER_HOME` nor a
    `dagster.yaml` says what the instance is, or it has stored nothing yet.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or Path.cwd()).absolute()
    if not os.environ.get("DAGSTER_HOME") and not (home / "dagster.yaml").is_file():
        return []
    try:
        if not dagster_internals.has_records(home):
            return []
        if full := _no_room(home):
            return [(False, full)]
        opened = dg.DagsterInstance.from_config(str(home))
    except Exception as error:  # noqa: BLE001  # of whatever storage it has; the other findings are wanted all the same
        # Not its words: they may hold the address of a database, and a password.
        said = (
            f"the instance of {home / 'dagster.yaml'} cannot be opened ({type(error).__name__}): `dagster instance "
            "info` says why. Is its database running?"
        )
        return [(False, said)]
    with opened as instance:
        return [
            *_lacks(instance, settings, home),
            *_ticks(instance, settings),
            *((False, finding) for finding in _stale_slots(instance)),
            *failed_checks(instance, settings, datetime.now(UTC)),
        ]


def failed_checks(
    instance: dg.DagsterInstance, settings: Settings, now: datetime
) -> Iterator[tuple[bool, str]]:
    """What must not be built on, and whether that may be over by itself at `now` (aware)."""
    failed = refused(instance, settings.operations)
    waiting: list[Refused] = []
    with suppress(StoreError):  # told among what is stored
        waiting = while_loading(settings.store, failed, now)
    for one in failed:
        said = " History is still coming in, so that may be over by itself." if one in waiting else ""
        yield one in waiting, f"{one.words}{said}"


def _no_room(home: Path) -> str | None:
    """What to do where the disk of Dagster's records is full: SQLite's own words name neither disk nor file."""
    folder = next((folder for folder in (home / ".dagster", home) if folder.exists()), home)
    free = shutil.disk_usage(folder).free
    if free > _LEAST_ROOM:
        return None
    return (
        f"{free / 1e6:,.0f} MB free in {folder}, where Dagster keeps its records: runs fail with `disk I/O error` "
        "or `database or disk is full`. Make room; what is stored of the windows is not in there"
    )


def _lacks(instance: dg.DagsterInstance, settings: Settings, home: Path) -> Iterator[tuple[bool, str]]:
    """What our `dagster.yaml` sets and this instance does not, and what that means. What only costs room or time is
    fine.
    """
    found = [*_missing_limits(instance, settings), *_missing_care(instance)]
    for fine, said in found:
        yield fine, f"{home / 'dagster.yaml'}: {said}"
    if not found:
        yield True, f"{home / 'dagster.yaml'} has all that it should: pools, queue, run monitoring, storage"
    if not all(fine for fine, _ in found):
        said = (
            "what is stored is still right. If this instance has no other code location, replace its dagster.yaml with "
            "the one of this release; otherwise set what is missing. Then restart Dagster."
        )
        yield True, said


def _missing_limits(instance: dg.DagsterInstance, settings: Settings) -> Iterator[tuple[bool, str]]:
    concurrency = instance.get_concurrency_config()
    if unlimited := _pools_without_a_limit(instance, settings):
        said = (
            f"no limit of one for {', '.join(unlimited)} (concurrency, pools, default_limit: 1; or in the UI, "
            "Deployment, Concurrency). Runs with one token run side by side and take turns request by request: two "
            "requests are never made at once"
        )
        yield False, said
    granularity = concurrency.pool_config.pool_granularity
    if granularity is None or granularity.value != "run":
        said = (
            "no `granularity: run` (concurrency, pools), as in that of an earlier release. Each run that waits for its "
            "token does so in a process of its own"
        )
        yield False, said
    queue = concurrency.run_queue_config
    if queue is None:
        said = (
            f"runs are not queued ({type(instance.run_coordinator).__name__}), so pools hold no run back: each "
            "that waits does so in a process of its own"
        )
        yield False, said
    elif 0 <= queue.max_concurrent_runs < _PLACES:
        said = (
            f"at most {queue.max_concurrent_runs} runs at once, of all code locations (concurrency, runs, "
            "max_concurrent_runs). A tick waits while all places are taken, and its windows come later"
        )
        yield True, said


def _missing_care(instance: dg.DagsterInstance) -> Iterator[tuple[bool, str]]:
    if not instance.run_monitoring_enabled:
        said = (
            "run_monitoring is not enabled. Dagster does not notice that a run was killed, and does not start it "
            "again. Our sensors end dead runs of their own machine; one of another machine stays STARTED, and keeps "
            "its place in the pool, until somebody ends it"
        )
        yield False, said
    if unset := {"schedule", "sensor"} - instance.get_settings("retention").keys():
        said = (
            f"no retention for ticks of a {' or a '.join(sorted(unset))}. Each operation's sensor adds 1,440 a day, "
            "kept for a week; those of schedules are kept for ever. Dagster's storage grows, and its UI slows down"
        )
        yield True, said
    if type(instance.event_log_storage).__name__ == "SqliteEventLogStorage":
        said = (
            "Dagster's own SQLite storage. A tick's log takes 147 KB instead of 10, and marking a window 16 ms instead "
            "of 0.3: a month of history takes minutes longer to load. Better: Postgres, or the storage of our "
            "dagster.yaml if every process of the instance can import wolkvox_assets"
        )
        yield True, said


def _pools_without_a_limit(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    location = CodeLocation(settings)
    pools = {location.pool(operation) for operation in settings.operations}
    limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    default = instance.get_concurrency_config().pool_config.default_pool_limit
    return [
        pool for name in sorted(pools) for pool in (name, f"{name}_live") if limits.get(pool, default) != 1
    ]


def _ticks(instance: dg.DagsterInstance, settings: Settings) -> Iterator[tuple[bool, str]]:
    now = datetime.now(UTC)
    ours = {LIVE_SCHEDULE, ALERTS, *map(sensor_name, settings.operations)}
    states = [state for state in instance.all_instigator_state() if state.name in ours]
    # Another code location may have an `alerts`, too; ours is where the sensors of operations are.
    gaps = {sensor_name(operation) for operation in settings.operations}
    places = {state.repository_origin_id for state in states if state.name in gaps}
    for state in sorted(states, key=lambda state: state.name):
        if state.repository_origin_id not in places:
            continue
        if not state.is_running:
            yield True, f"{state.name} is off: its work is not done until it is switched on in the UI"
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
                f"{state.name} last ticked at {last:%Y-%m-%d %H:%M:%S} UTC: Dagster's daemon is not running, or "
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
                    "after a while; if not, free it in the UI (Deployment, Concurrency)."
                )
