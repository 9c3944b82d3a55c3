"""What is wrong now: settings, work that failed and has not succeeded since, runs that died.

What belongs here: reading it from where it is recorded, and the words. What doesn't: what of it was told before.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets.assets.failures import died_silently
from wolkvox_assets.assets.partitions import windows_key
from wolkvox_assets.automation.alerts.news import Trouble
from wolkvox_assets.automation.live import LIVE
from wolkvox_assets.location import CodeLocation
from wolkvox_assets.pipeline.pauses import open_failures
from wolkvox_assets.plain_text import visible
from wolkvox_assets.settings import Operation
from wolkvox_assets.store.attempts import FailedAttempt, Work

_TEXT_LENGTH = 1500
_RUNS_OF = timedelta(days=2)
_MOST_RUNS = 200
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_MET_WITHIN = timedelta(days=2)


def troubles(instance: dg.DagsterInstance, location: CodeLocation, now: datetime) -> dict[str, Trouble]:
    """By cause. Raises `StoreError` where what is stored cannot be read."""
    store, settings = location.store, location.settings
    found = {f"settings: {problem}": Trouble(now, f"{problem}") for problem in settings.problems}
    for operation in settings.operations:
        failed = [a for a in open_failures(store, operation) if _is_news(a, now)]
        for attempt in failed:
            cause = f"{operation.name}: {attempt.error}"
            words = f"{visible(attempt.message)[:_TEXT_LENGTH]} (run {attempt.run_id}, {attempt.work})"
            found.setdefault(cause, Trouble(attempt.ended_at, words))
    return found | _died(instance, settings.operations, now)


def _is_news(attempt: FailedAttempt, now: datetime) -> bool:
    # A range that somebody began by hand may never be repeated.
    return attempt.work is not Work.RANGE or now - attempt.ended_at < _MET_WITHIN


def _died(instance: dg.DagsterInstance, operations: Sequence[Operation], now: datetime) -> dict[str, Trouble]:
    """Where the last run of its kind failed and could not report it: it was killed, or nothing could be stored."""
    records = instance.get_run_records(
        filters=dg.RunsFilter(statuses=_ENDED, updated_after=now - _RUNS_OF), limit=_MOST_RUNS
    )
    found: dict[str, Trouble] = {}
    seen: set[str] = set()
    for record in records:
        run = record.dagster_run
        for kind in _kinds(run, operations):
            failed = run.status is dg.DagsterRunStatus.FAILURE
            if failed and kind not in seen and died_silently(instance, run.run_id):
                ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
                words = f"{_words(instance, run)} (run {run.run_id})"
                found[f"{kind}: run failed without a report"] = Trouble(ended, words)
            seen.add(kind)
    return found


def _kinds(run: dg.DagsterRun, operations: Sequence[Operation]) -> Iterator[str]:
    if run.job_name == LIVE:
        yield LIVE
    for operation in operations:
        if windows_key(operation) in (run.asset_selection or ()):
            yield operation.name


def _words(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What a failed step said, or what is known of a run that could not say anything."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        data = event.event_specific_data if event else None
        told = getattr(getattr(data, "user_failure_data", None), "description", None)
        if told:
            return visible(str(told))[:_TEXT_LENGTH]
        return "Its log says why."
    return (
        "A run died without reporting: its process was killed, or the machine was restarted. What it had committed is "
        "stored and published. Where the schedule and the sensor are on, they do the rest by themselves; where they "
        "are off, repeat the run. If it comes again, look at memory and disk."
    )
