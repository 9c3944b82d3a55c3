"""Telling a person what is wrong, in plain words: once for each cause, and once when it is over.

What belongs here: which runs are news, the words, the webhook. What doesn't: why runs fail (`assets/failures.py`).
"""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import requests

from wolkvox_assets.assets.run_tags import CAUSE, OPERATION
from wolkvox_assets.executor import end_dead_runs
from wolkvox_assets.settings import ConfigurationProblem, Settings, alert_webhook

_EVERY_SECONDS = 30
_WEBHOOK_SECONDS = 10.0
_TEXT_LENGTH = 1500


def build_alerts(settings: Settings) -> dg.SensorDefinition:
    """The sensor `alerts`: its cursor holds what is wrong at the moment, and up to when runs were looked at."""
    names = {operation.name for operation in settings.operations}

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING
        if settings.automation
        else dg.DefaultSensorStatus.STOPPED,
        description="Says what failed, for which operation, since when, and what to do: to the log and to "
        "WOLKVOX_ALERT_WEBHOOK. One message for one cause until it is over, and one when it is over.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        end_dead_runs(context.instance)
        state = json.loads(context.cursor) if context.cursor else {}
        since = datetime.fromisoformat(
            state.get("since", (datetime.now(UTC) - timedelta(hours=1)).isoformat())
        )
        wrong: dict[str, dict[str, str]] = state.get("wrong", {})
        seen: list[str] = state.get("seen", [])
        records = context.instance.get_run_records(
            filters=dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
                # Two runs can end in one instant: the last moment is looked at again, and `seen` tells them apart.
                updated_after=since - timedelta(seconds=5),
            ),
            order_by="update_timestamp",
            ascending=True,
        )
        told = 0
        for record in records:
            run = record.dagster_run
            if run.run_id in seen:
                continue
            for message in _news(context.instance, run, names, wrong, record.update_timestamp):
                _tell(context, message)
                told += 1
            since = max(since, record.update_timestamp.astimezone(UTC))
        recent = [r.dagster_run.run_id for r in records][-200:]
        context.update_cursor(json.dumps({"since": since.isoformat(), "wrong": wrong, "seen": recent}))
        still = ", ".join(sorted(wrong)) or "nothing"
        return dg.SkipReason(f"{told} messages; wrong at the moment: {still}")

    return alerts


def _news(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    names: set[str],
    wrong: dict[str, dict[str, str]],
    when: datetime,
) -> list[str]:
    """What this run's end has to say, and `wrong` brought up to date."""
    operation = _operation(run, names)
    if operation is None:
        return []
    if run.status is dg.DagsterRunStatus.SUCCESS:
        over = [key for key in wrong if key.split(": ")[0] == operation]
        return [
            f"wolkvox_assets: over. {key} since {wrong.pop(key)['since']} UTC; run {run.run_id} of {run.job_name} "
            "succeeded. What was missed meanwhile is made up by itself."
            for key in over
        ]
    cause = run.tags.get(CAUSE, "the run ended without a word")
    key = f"{operation}: {cause}"
    if key in wrong:
        return []
    wrong[key] = {"since": f"{when.astimezone(UTC):%Y-%m-%d %H:%M}", "run": run.run_id}
    message = (
        f"wolkvox_assets: operation {operation} fails since {wrong[key]['since']} UTC ({run.job_name}, run "
        f"{run.run_id}). {_words(instance, run)} No further message comes for this cause until it is over."
    )
    return [message]


def _operation(run: dg.DagsterRun, names: set[str]) -> str | None:
    if OPERATION in run.tags:
        return run.tags[OPERATION]
    of_assets = {key.path[0] for key in run.asset_selection or ()} & names
    return min(of_assets) if of_assets else None


def _words(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What the failed step said, or Dagster about the run."""
    logs = instance.all_logs(
        run.run_id, of_type={dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    )
    for entry in logs:
        event = entry.dagster_event
        data = event.event_specific_data if event else None
        told = getattr(getattr(data, "user_failure_data", None), "description", None)
        if told:
            return str(told)[:_TEXT_LENGTH]
    texts = [
        entry.dagster_event.message for entry in logs if entry.dagster_event and entry.dagster_event.message
    ]
    return (texts[-1] if texts else "Its log says why.")[:_TEXT_LENGTH]


def _tell(context: dg.SensorEvaluationContext, message: str) -> None:
    context.log.warning(message)
    try:
        webhook = alert_webhook()
        if webhook is None:
            return
        # `text` is what both Slack's and Teams-compatible receivers take.
        answer = requests.post(
            webhook.get_secret_value(),
            json={"text": message},
            timeout=_WEBHOOK_SECONDS,
            allow_redirects=False,
        )
        if not answer.ok:
            context.log.warning(
                f"the webhook answered {answer.status_code}: the message above is only in this log"
            )
    except ConfigurationProblem as problem:
        context.log.warning(f"{problem} The message above is only in this log.")
    except requests.RequestException as error:
        # Its text holds the address, which is a secret.
        context.log.warning(
            f"the webhook failed ({type(error).__name__}): the message above is only in this log"
        )
