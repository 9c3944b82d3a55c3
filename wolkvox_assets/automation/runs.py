"""What Dagster's record of runs says about an operation: what is under way, and how long to leave it alone.

What belongs here: reading runs, and pauses after failures. What doesn't: starting runs.

The pauses are read off the runs themselves, so that there is no state of ours to go wrong, and whoever
looks at the list of runs sees why nothing happens.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import dagster as dg

from wolkvox_assets.assets.live_schedule import live_job_name
from wolkvox_assets.assets.partitions import windows_key
from wolkvox_assets.assets.run_tags import (
    EVERYTHING,
    PERMANENT,
    THESE_WINDOWS,
    serves,
)
from wolkvox_assets.assets.verify_recent import VERIFY_RECENT
from wolkvox_assets.clocks import FUTURE_AFTER
from wolkvox_assets.quota import quota_waits
from wolkvox_assets.settings import ConfigurationProblem, Operation, read_token
from wolkvox_assets.store import Store, sources

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

# 1, 2, 4 … minutes after a failure that may pass by itself, and 15, 30 … after one that does not: somebody may
# have mended it at the server's side. Each run asks a handful of times itself.
_FIRST_PAUSE = timedelta(minutes=1)
_FIRST_PAUSE_IF_PERMANENT = timedelta(minutes=15)
_LONGEST_PAUSE = timedelta(minutes=30)
_LONGEST_PAUSE_IF_PERMANENT = timedelta(hours=4)

ATTEMPTS_A_DAY = 30
"""How often failed runs of one job are started anew within 24 hours."""

_SERVED_WITHIN = timedelta(minutes=7)  # a window closes every five
_ABOUT_TO_SERVE = timedelta(minutes=2)  # from its creation to its first request


ACCESS = "wolkvox/access"
"""With what the run was started to ask: see `access`."""


def access(operation: Operation, store: Store) -> str:
    """Changes when the operation's token or source does, or when stored data of another source is out of the way:
    what was refused before may work then.

    Not by when the code location was loaded: `dagster-daemon run` loads it anew every minute.
    """
    try:
        token = read_token(operation.name, operation.token_env).get_secret_value()
    except ConfigurationProblem:
        token = ""
    with store.reading() as con:
        in_the_way = sources.objection(con, operation.name, operation.source) if con else None
    return _digest(f"{token} {operation.source} {in_the_way}")


@lru_cache(maxsize=32)
def _digest(text: str) -> str:
    # Slow (0.1 s) and short: no help to whoever guesses at a token.
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"wolkvox-assets access", 200_000).hex()[:8]


def gaps_job_name(operation: Operation) -> str:
    return f"{operation.name}_catch_up"


def under_way(instance: dg.DagsterInstance, operation: Operation) -> list[dg.DagsterRun]:
    """The runs that ask for this operation's windows and have not ended, live ones included."""
    return [record.dagster_run for record in _under_way(instance, operation)]


def _under_way(instance: dg.DagsterInstance, operation: Operation) -> list[dg.RunRecord]:
    names = {live_job_name(operation.name), gaps_job_name(operation), VERIFY_RECENT}
    key = windows_key(operation)
    return [
        record
        for record in instance.get_run_records(filters=dg.RunsFilter(statuses=UNDER_WAY))
        if record.dagster_run.job_name in names or key in (record.dagster_run.asset_selection or ())
    ]


def serving_run(
    instance: dg.DagsterInstance, sharers: Sequence[Operation], operation: Operation, now: datetime
) -> str | None:
    """The id of a run that holds the token and does what is due of this operation between its own requests, or
    None. Such a run says so by a tag; one that was created a moment ago is believed to be about to.
    """
    for sharer in sharers:
        for record in _under_way(instance, sharer):
            run = record.dagster_run
            if run.job_name in {live_job_name(o.name) for o in sharers}:
                continue
            served = run.tags.get(serves(operation.name))
            if served is not None and lately(datetime.fromisoformat(served), now, _SERVED_WITHIN):
                return run.run_id
            if lately(record.create_timestamp.astimezone(UTC), now, _ABOUT_TO_SERVE):
                return run.run_id
    return None


def pause(
    instance: dg.DagsterInstance,
    store: Store,
    operation: Operation,
    job_name: str,
    now: datetime,
    live_first: int = 0,
) -> str | None:
    """Why no run of this job should be started at `now` (aware), or None where one may be. `live_first`: how many
    operations' live windows come first, where the day's quota gets scarce."""
    live = job_name == live_job_name(operation.name)
    until = quota_waits(store, operation, now, live_first)
    if until is not None:
        return (
            f"the day's quota of {operation.name} is used up{'' if live else ' but for live windows'}; it is looked at "
            f"again after {until:%Y-%m-%d %H:%M:%S} UTC"
        )
    jobs = {
        name: _ended_lately(instance, name, now)
        for name in (live_job_name(operation.name), gaps_job_name(operation))
    }
    of_all = sorted((record for records in jobs.values() for record in records), key=ended_at, reverse=True)
    failed = _failed_in_a_row(of_all)
    if failed and failed[0].dagster_run.tags.get(PERMANENT) == EVERYTHING:
        # A token that is refused is refused for every job.
        if failed[0].dagster_run.tags.get(ACCESS) != access(operation, store):
            return None  # mended, it seems
        if _worked_since(instance, operation, ended_at(failed[0])):
            return None  # mended at the server's side: somebody has tried by hand
        again = ended_at(failed[0]) + _growing(
            _FIRST_PAUSE_IF_PERMANENT, len(failed), _LONGEST_PAUSE_IF_PERMANENT
        )
    else:
        failed = _failed_in_a_row(jobs[job_name])
        if not failed or (live and failed[0].dagster_run.tags.get(PERMANENT) == THESE_WINDOWS):
            return None  # a window that can't be read keeps no other waiting
        again = ended_at(failed[0]) + _growing(_FIRST_PAUSE, len(failed), _LONGEST_PAUSE)
    last = failed[0].dagster_run.run_id
    if len(failed) >= ATTEMPTS_A_DAY and not live:
        return (
            f"{len(failed)} runs of {job_name} have failed within 24 hours, which is as often as it is tried in a "
            f"day; the last is {last}. Start it by hand when the cause is mended; by itself it starts a day later."
        )
    if now < again:
        return f"{len(failed)} failed in a row, the last is run {last}; next try after {again:%Y-%m-%d %H:%M:%S} UTC"
    return None


def _ended_lately(instance: dg.DagsterInstance, job_name: str, now: datetime) -> Sequence[dg.RunRecord]:
    """The runs of this job within 24 hours that have ended, newest first."""
    records = instance.get_run_records(
        filters=dg.RunsFilter(
            job_name=job_name,
            statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
            created_after=now - timedelta(days=1),
        ),
        limit=2 * ATTEMPTS_A_DAY,
    )
    return [record for record in records if lately(ended_at(record), now, timedelta(days=1))]


def lately(moment: datetime, now: datetime, within: timedelta) -> bool:
    """Whether this moment (aware) is no longer ago than that. One of the future is not: a clock was ahead, and what
    it left must not make anything wait until it is reached.
    """
    return now - within < moment <= now + FUTURE_AFTER


def _worked_since(instance: dg.DagsterInstance, operation: Operation, since: datetime) -> bool:
    """Whether a run that was begun by hand got the operation's windows."""
    runs = instance.get_runs(
        filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=since), limit=100
    )
    return any(windows_key(operation) in (run.asset_selection or ()) for run in runs)


def _growing(first: timedelta, failures: int, longest: timedelta) -> timedelta:
    return min(first * (1 << min(failures, 20) - 1), longest)


def _failed_in_a_row(newest_first: Sequence[dg.RunRecord]) -> list[dg.RunRecord]:
    """The failures since the last success."""
    failed = []
    for record in newest_first:
        if record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            break
        failed.append(record)
    return failed


def ended_at(record: dg.RunRecord) -> datetime:
    """When this run, which has ended, ended (aware)."""
    return datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
