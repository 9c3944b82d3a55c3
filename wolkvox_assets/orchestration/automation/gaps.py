"""History: windows that are not known, or not marked, found and asked for as ranges, newest first.

What doesn't belong here: what a gap is (`pipeline/to_do.py`), the gaps of the last days (the tick fills them).

History that was never loaded is a gap like any other, the oldest: after a first start everything comes by
itself, the newest first.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

import dagster as dg

from wolkvox_assets.orchestration.automation.live import LIVE_SCHEDULE
from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.orchestration.run.failures import unreported
from wolkvox_assets.orchestration.run.tags import OPERATION, WORK
from wolkvox_assets.pipeline import pauses, to_do
from wolkvox_assets.pipeline.attempts import PAUSE_WHEN_DIED, PAUSE_WHEN_STOPPED, SAME_AGAIN_AFTER
from wolkvox_assets.report.clocks import lately
from wolkvox_assets.report.plain_text import counted
from wolkvox_assets.report.windows import Range
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.attempts import Work

_EVERY_SECONDS = 60
# Reading Dagster's record of a year takes 0.3 s: now and then is enough for what only a kill leaves behind.
_MARKS_EVERY = timedelta(minutes=30)
_MOST_DAYS = 31

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    *dead_runs.WITH_A_PROCESS,
]


def sensor_name(operation: Operation) -> str:
    return f"{operation.label}_gaps"


def build_gaps(location: CodeLocation, operation: Operation) -> dg.SensorDefinition:
    """The sensor `<operation>_gaps`, which starts runs of the operation's windows."""
    store, asset = location.settings.store, windows_key(operation)

    @dg.sensor(
        name=sensor_name(operation),
        asset_selection=[asset],
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=location.sensors_are,
        description="Finds windows of the history that are not known, or not marked as materialised, and requests "
        "them.",
    )
    def gaps(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now, instance = location.now(), context.instance
        dead_runs.end_dead_runs(instance, now)
        _make_pool_known(instance, location.pool(operation))
        with store.reading():  # opened once for the dozen readings within
            if reason := _under_way(instance, asset):
                return dg.SkipReason(reason)
            standing = pauses.standings(store, [operation], now)[operation.label]
            live = location.live_first(operation)
            reason = pauses.reason_to_wait(standing, operation, Work.HISTORY, now, live)
            # The last that this sensor has started; after the look for runs under way, so that it ended before now.
            filters = dg.RunsFilter(tags={"dagster/sensor_name": sensor_name(operation)})
            last = next(iter(instance.get_run_records(filters=filters, limit=1)), None)
            if reason is None and last is not None:
                reason = _rest_after(instance, last, now)
            if reason is not None:
                return dg.SkipReason(reason)
            missing = to_do.history(store, operation, now)
            looked = datetime.fromisoformat(context.cursor) if context.cursor else None
            if not missing and (looked is None or not lately(looked, now, _MARKS_EVERY)):
                missing = _unmarked(instance, store, operation, now)
                if not missing:
                    context.update_cursor(now.isoformat())
        if not missing:
            return dg.SkipReason(_nothing_missing(operation, now))
        ranges = [[f"{r.start:%Y-%m-%dT%H:%M}", f"{r.end:%Y-%m-%dT%H:%M}"] for r in missing]
        config = {"ops": {asset.to_python_identifier(): {"config": {"ranges": ranges}}}}
        if last is not None and _has_just_done(last, config, now):
            return dg.SkipReason(
                f"run {last.dagster_run.run_id} was for these very windows and left them as they are; look at its log. "
                "They are tried again when it is an hour old."
            )
        context.log.info(
            f"{counted(sum(map(len, missing)), 'window')} in {counted(len(missing), 'place')}, newest {missing[0]}"
        )
        return dg.RunRequest(
            asset_selection=[asset],
            run_config=config,
            tags={OPERATION: operation.name, WORK: str(Work.HISTORY), "dagster/max_retries": "0"},
        )

    return gaps


def _nothing_missing(operation: Operation, now: datetime) -> str:
    recent = f"the last {to_do.RECENT_DAYS} days"
    if to_do.all_is_recent(operation, now):
        begins = f"the history of {operation.label} begins on {operation.start}"
        return f"{begins}: {LIVE_SCHEDULE} loads {recent}, and there is nothing before"
    known = f"every window of {operation.label} from {operation.start} up to {recent} is known"
    return f"{known}; {LIVE_SCHEDULE} loads those"


def _make_pool_known(instance: dg.DagsterInstance, pool: str) -> None:
    """Dagster's queue lets in any number of runs for a pool that it has not met before."""
    storage = instance.event_log_storage
    if pool not in storage.get_concurrency_keys():
        storage.initialize_concurrency_limit_to_default(pool)


def _under_way(instance: dg.DagsterInstance, asset: dg.AssetKey) -> str | None:
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY)):
        if asset in (run.asset_selection or ()):
            return f"run {run.run_id} has not ended yet"
    return None


def _rest_after(instance: dg.DagsterInstance, last: dg.RunRecord, now: datetime) -> str | None:
    """Why this run, which has ended, is not to be followed by another one yet."""
    run, ended = last.dagster_run, dead_runs.ended_at(last)
    if run.status is dg.DagsterRunStatus.CANCELED and lately(ended, now, PAUSE_WHEN_STOPPED):
        return (
            f"run {run.run_id} was stopped by somebody: this sensor starts it again after "
            f"{ended + PAUSE_WHEN_STOPPED:%Y-%m-%d %H:%M:%S} UTC. Turn this sensor off to keep it from that."
        )
    # What a run could report of itself is among the pauses already.
    if (
        run.status is dg.DagsterRunStatus.FAILURE
        and lately(ended, now, PAUSE_WHEN_DIED)
        and unreported(instance, run.run_id)
    ):
        return (
            f"run {run.run_id} died, or could not store anything: the next one starts after "
            f"{ended + PAUSE_WHEN_DIED:%Y-%m-%d %H:%M:%S} UTC. If it happens again, check memory and disk."
        )
    return None


def _has_just_done(last: dg.RunRecord, config: Mapping[str, object], now: datetime) -> bool:
    return (
        last.dagster_run.status is dg.DagsterRunStatus.SUCCESS
        and last.dagster_run.run_config == config
        and lately(dead_runs.ended_at(last), now, SAME_AGAIN_AFTER)
    )


def _unmarked(instance: dg.DagsterInstance, store: Store, operation: Operation, now: datetime) -> list[Range]:
    """Days of which Dagster's record has fewer partitions than there are: a run was killed after a commit.

    A day as a whole: asking for it again is one request, and marks what is missing.
    """
    marked = Counter(key[:10] for key in instance.get_materialized_partitions(windows_key(operation)))
    yesterday = operation.clock.now(now).date() - timedelta(days=1)
    days = (yesterday - timedelta(days=n) for n in range((yesterday - operation.start).days + 1))
    unmarked = (day for day in days if marked[f"{day}"] < operation.clock.passes_of_day(day))
    return to_do.whole_days(store, operation, unmarked, now, _MOST_DAYS)
