"""The sensor `alerts`: what is wrong is told, runs that died without reporting too.

What belongs here: the sensor, and reading Dagster's record of runs. What doesn't: what is news, the words, the webhook
(`alerts/`), how old the newest window is (`checks/`), which is reported here since no run is there to do it.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets.alerts.news import Trouble, news
from wolkvox_assets.alerts.troubles import TEXT_LENGTH, troubles
from wolkvox_assets.alerts.webhook import send
from wolkvox_assets.orchestration.automation.live import LIVE, LIVE_TAGS
from wolkvox_assets.orchestration.checks import newest_windows, refused
from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.orchestration.run.failures import died_silently
from wolkvox_assets.report.plain_text import visible
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import StoreError

ALERTS = "alerts"
_RUNS_OF = timedelta(days=2)
_MOST_RUNS = 200
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_EVERY_SECONDS = 30


def build_alerts(location: CodeLocation) -> dg.SensorDefinition:
    """Its cursor holds what was told and is not over, what was seen last, and what could not be sent yet."""

    @dg.sensor(
        name=ALERTS,
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=location.sensors_are,
        description="Says what failed, for which operation, since when, and what to do: to the log and to "
        "WOLKVOX_ALERT_WEBHOOK. One message for one cause until it is over, and one when it is over. Reports the check "
        "newest_window_is_recent, also when no run does.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = location.now()
        dead_runs.end_dead_runs(context.instance, now)
        state = json.loads(context.cursor) if context.cursor else {}
        told, news_of_age = state.get("told", {}), list[dg.AssetCheckEvaluation]()
        try:
            with location.store.reading():  # opened once for what is read of each operation
                wrong = what_is_wrong(context.instance, location, now)
                news_of_age = newest_windows(context.instance, location, now)
        except StoreError as error:
            # What else is wrong cannot be told: it stays as it was.
            wrong = {cause: Trouble(now, cause) for cause in told} | {"store": Trouble(now, str(error))}
        messages, told = news(told, wrong, state.get("seen", []))
        for message in messages:
            context.log.warning(message)
        unsent = send([*state.get("unsent", []), *messages], context.log)
        return dg.SensorResult(
            skip_reason=f"not over: {', '.join(sorted(told))}" if told else "no failure is open",
            cursor=json.dumps({"told": told, "seen": sorted(wrong), "unsent": unsent}),
            asset_events=news_of_age,
        )

    return alerts


def what_is_wrong(instance: dg.DagsterInstance, location: CodeLocation, now: datetime) -> dict[str, Trouble]:
    """By cause, at `now` (aware). Raises `StoreError` where what is stored cannot be read."""
    operations = location.settings.operations
    found = troubles(location.settings, now) | _died(instance, operations, now)
    return found | {
        cause: Trouble(now, words, brief=True) for cause, words in refused(instance, operations).items()
    }


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
    if run.job_name == LIVE and run.tags.items() >= LIVE_TAGS.items():
        yield LIVE
    for operation in operations:
        if windows_key(operation) in (run.asset_selection or ()):
            yield operation.label


def _words(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What a failed step said, or what is known of a run that could not say anything."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        data = event.event_specific_data if event else None
        told = getattr(getattr(data, "user_failure_data", None), "description", None)
        if told:
            return visible(str(told))[:TEXT_LENGTH]
        return "Its log says why."
    return (
        "A run died without reporting: its process was killed, or the machine was restarted. What it had committed is "
        "stored and published. Where the schedule and the sensor are on, they do the rest by themselves; where they "
        "are off, repeat the run. If it comes again, look at memory and disk."
    )
