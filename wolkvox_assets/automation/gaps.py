"""Gaps and history: windows that are not known, or not marked, found and asked for as ranges, newest first.

What belongs here: the sensor that finds them and the job that fills them. What doesn't: what a gap is
(`duties.py`, `store/gaps.py`), how windows are made true (`assets/synchronise.py`).

History that was never loaded is a gap like any other, the oldest: after a first start everything comes by
itself, the newest first.
"""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets import duties
from wolkvox_assets.assets.keep_fresh import GAP_RETRIES, Meanwhile
from wolkvox_assets.assets.live_schedule import live_job_name, live_of_quota
from wolkvox_assets.assets.partitions import windows_key
from wolkvox_assets.assets.run_tags import OPERATION, PERMANENT, THESE_WINDOWS
from wolkvox_assets.assets.synchronise import make_windows_true
from wolkvox_assets.automation.runs import (
    ACCESS,
    access,
    ended_at,
    gaps_job_name,
    lately,
    pause,
    under_way,
)
from wolkvox_assets.executor import end_dead_runs
from wolkvox_assets.resources import wolkvox_key
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store import Store
from wolkvox_assets.store.evidence import resting
from wolkvox_assets.store.gaps import holes, verified
from wolkvox_assets.windows import WINDOW, Range

# A run takes up to a month of windows: long enough to ask little, short enough that what is newer by then
# comes first.
_MOST_WINDOWS = 31 * 288
_EVERY_SECONDS = 60
# Reading Dagster's record of a year takes 0.3 s: now and then is enough for what only a kill leaves behind.
_MARKS_EVERY = timedelta(minutes=30)
# Longer than any pause between live runs: if none came within it, their schedule is off.
_LIVE_TRIES_WITHIN = timedelta(hours=1)
# Whoever stops a run wants it to stay so for a while.
_PAUSE_WHEN_STOPPED = timedelta(hours=1)


class CatchUpConfig(dg.Config):
    """`ranges`: pairs of wall-clock times, `[start, end)`, such as `["2026-11-16T08:00", "2026-11-16T09:00"]`."""

    ranges: list[list[str]]


def build_gaps(
    operation: Operation, settings: Settings, pool: str, sharers: tuple[Operation, ...]
) -> tuple[dg.JobDefinition, dg.SensorDefinition]:
    """The job `<operation>_catch_up` and the sensor that starts it."""
    store = Store(settings.data_dir)

    @dg.op(
        name=f"{operation.name}_fill",
        pool=pool,
        required_resource_keys={"store", *(wolkvox_key(sharer) for sharer in sharers)},
        description="Makes ranges of windows true; newest first, live windows before all.",
    )
    def fill(context: dg.OpExecutionContext, config: CatchUpConfig) -> None:
        ranges = [Range(*map(datetime.fromisoformat, pair)) for pair in config.ranges]
        windows = [w for r in ranges for w in r.windows() if operation.clock.shows(w)]
        meanwhile = Meanwhile(context, settings, sharers, operation, windows)
        make_windows_true(
            context,
            operation,
            windows,
            between=meanwhile.serve,
            live=meanwhile.live(operation),
            retry=GAP_RETRIES,
        )

    @dg.job(
        name=gaps_job_name(operation),
        tags={OPERATION: operation.name, "dagster/max_retries": "0"},
        description=f"Fills gaps in the windows of {operation.name}, and loads its history.",
    )
    def catch_up() -> None:
        fill()

    @dg.sensor(
        name=f"{operation.name}_gaps",
        job=catch_up,
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING
        if settings.automation
        else dg.DefaultSensorStatus.STOPPED,
        description="Finds windows that are not known, or not marked as materialised, and asks for them.",
    )
    def gaps(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = datetime.now(UTC)
        end_dead_runs(context.instance)
        live_first = live_of_quota(context.instance, settings, operation)
        reason = _reason_to_wait(context.instance, store, operation, now, live_first)
        if reason is not None:
            return dg.SkipReason(reason)
        missing = _unknown(store, operation, now)
        if not missing and _marks_are_due(context.cursor, now):
            unmarked = _unmarked(context.instance, store, operation, now)
            missing += unmarked
            if not unmarked:
                context.update_cursor(now.isoformat())
        if not missing:
            return dg.SkipReason(
                "every window is known from the first day of the history up to those that the live schedule asks for"
            )
        ranges = [[f"{r.start:%Y-%m-%dT%H:%M}", f"{r.end:%Y-%m-%dT%H:%M}"] for r in missing]
        tag = json.dumps(ranges)[:_TAG_LENGTH]
        if tag == _asked_last(context.instance, operation, now):
            return dg.SkipReason(
                f"the last run of {gaps_job_name(operation)} was for these very windows and left them as they are; "
                "look at its log. They are tried again when it is an hour old."
            )
        context.log.info(f"{sum(map(len, missing))} windows in {len(missing)} places, newest {missing[0]}")
        return dg.RunRequest(
            run_config=dg.RunConfig(ops={f"{operation.name}_fill": CatchUpConfig(ranges=ranges)}),
            tags={_RANGES: tag, ACCESS: access(operation, store)},
        )

    return catch_up, gaps


_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_RANGES = "wolkvox/ranges"
_TAG_LENGTH = 2000


def _reason_to_wait(
    instance: dg.DagsterInstance, store: Store, operation: Operation, now: datetime, live_first: int
) -> str | None:
    for run in under_way(instance, operation):
        return f"run {run.run_id} has not ended yet"
    reason = pause(instance, store, operation, gaps_job_name(operation), now, live_first)
    if reason is not None:
        return reason
    stopped = _last_run(instance, gaps_job_name(operation), *_ENDED, dg.DagsterRunStatus.CANCELED)
    if stopped is not None and stopped.dagster_run.status is dg.DagsterRunStatus.CANCELED:
        again = ended_at(stopped) + _PAUSE_WHEN_STOPPED
        if lately(ended_at(stopped), now, _PAUSE_WHEN_STOPPED):
            return (
                f"run {stopped.dagster_run.run_id} was stopped by somebody: this sensor starts it again after "
                f"{again:%Y-%m-%d %H:%M:%S} UTC. Turn this sensor off to keep it from that."
            )
    # While live windows can't be had, history can't either: one job that tries is enough. One window that can't
    # be read says nothing of others.
    live = _last_run(instance, live_job_name(operation.name), *_ENDED)
    if live is None or not _failed(live) or not lately(ended_at(live), now, _LIVE_TRIES_WITHIN):
        return None
    if live.dagster_run.tags.get(PERMANENT) == THESE_WINDOWS:
        return None
    return f"live run {live.dagster_run.run_id} failed: gaps wait until live windows can be had again"


def _failed(record: dg.RunRecord) -> bool:
    return record.dagster_run.status is dg.DagsterRunStatus.FAILURE


def _last_run(
    instance: dg.DagsterInstance, job_name: str, *statuses: dg.DagsterRunStatus
) -> dg.RunRecord | None:
    filters = dg.RunsFilter(job_name=job_name, statuses=list(statuses))
    return next(iter(instance.get_run_records(filters=filters, limit=1)), None)


def _unknown(store: Store, operation: Operation, now: datetime) -> list[Range]:
    """Gaps of the last days; history where there are none. A window that can't be had stays a gap, and rests: nothing
    else waits for it."""
    with store.reading() as con:
        left_out = resting(con, operation.name, now) if con else set()
        for since in [duties.recent(operation, now), operation.start]:
            found = duties.gaps(
                operation,
                lambda r: holes(con, operation.name, r.start, r.end, now, left_out) if con else [r],
                now,
                most=_MOST_WINDOWS,
                since=since,
            )
            if found:
                return found
    return []


def _asked_last(instance: dg.DagsterInstance, operation: Operation, now: datetime) -> str | None:
    """What the last run was for, where it succeeded within the hour."""
    records = instance.get_run_records(
        filters=dg.RunsFilter(
            job_name=gaps_job_name(operation),
            statuses=[dg.DagsterRunStatus.SUCCESS],
            created_after=now - timedelta(hours=1),
        ),
        limit=1,
    )
    if not records or not lately(records[0].create_timestamp.astimezone(UTC), now, timedelta(hours=1)):
        return None
    return records[0].dagster_run.tags.get(_RANGES)


def _marks_are_due(cursor: str | None, now: datetime) -> bool:
    return cursor is None or not lately(datetime.fromisoformat(cursor), now, _MARKS_EVERY)


def _unmarked(instance: dg.DagsterInstance, store: Store, operation: Operation, now: datetime) -> list[Range]:
    """Days of which Dagster's record has fewer partitions than there are: a run was killed after a commit.

    A day as a whole: asking for it again is one request, and marks what is missing.
    """
    clock = operation.clock
    marked = Counter(key[:10] for key in instance.get_materialized_partitions(windows_key(operation)))
    today = clock.now(now).date()
    found: list[Range] = []
    day = today - timedelta(days=1)
    while day >= operation.start and len(found) < 31:
        if marked[f"{day}"] < clock.passes_of_day(day):
            windows = clock.windows_of_day(day)
            if _is_known(store, operation, windows, now):
                found.append(Range(windows[0], windows[-1] + WINDOW))
        day -= timedelta(days=1)
    return found


def _is_known(store: Store, operation: Operation, windows: Sequence[datetime], now: datetime) -> bool:
    with store.reading() as con:
        if con is None:
            return False
        known = verified(con, operation.name, windows[0], windows[-1] + WINDOW, now)
        return len(known) == len(windows)
