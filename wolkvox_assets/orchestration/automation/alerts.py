"""The sensor `alerts`: what is wrong is told, runs that died without reporting too.

What doesn't belong here: what is news, the words, the webhook (`alerts/`), how old the newest window is (`checks/`),
which is reported here since no run is there to do it.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg

from wolkvox_assets.alerts.news import Trouble, news
from wolkvox_assets.alerts.troubles import TEXT_LENGTH, troubles
from wolkvox_assets.alerts.webhook import send
from wolkvox_assets.orchestration.automation.live import LIVE
from wolkvox_assets.orchestration.checks import newest_windows, refused, while_loading
from wolkvox_assets.orchestration.instance import dead_runs
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.orchestration.run.failures import unreported
from wolkvox_assets.orchestration.run.tags import WORK
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.attempts import Work

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
            with location.settings.store.reading():  # opened once for what is read of each operation
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
    failed = refused(instance, operations)
    waiting = while_loading(location.settings.store, failed, now)
    return found | {one.place: Trouble(now, one.words, brief=True, waits=one in waiting) for one in failed}


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
            if kind in seen:
                continue
            seen.add(kind)
            if run.status is dg.DagsterRunStatus.FAILURE and (words := unreported(instance, run.run_id)):
                told = f"{words[:TEXT_LENGTH]} (run {run.run_id})"
                found[f"{kind}: run failed without a report"] = Trouble(dead_runs.ended_at(record), told)
    return found


def _kinds(run: dg.DagsterRun, operations: Sequence[Operation]) -> Iterator[str]:
    if run.tags.get(WORK) == Work.LIVE:
        yield LIVE
    for operation in operations:
        if windows_key(operation) in (run.asset_selection or ()):
            yield operation.label
