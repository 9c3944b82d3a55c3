"""Telling a person what is wrong, in plain words: once for each cause, and once when it is over.

What belongs here: which runs are news, the words, the webhook. What doesn't: why runs fail (`assets/failures.py`).
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import dagster as dg
import requests

from wolkvox_assets.assets.run_tags import CAUSE, EVERYTHING, OPERATION, PERMANENT
from wolkvox_assets.assets.verify_recent import VERIFY_RECENT
from wolkvox_assets.executor import end_dead_runs
from wolkvox_assets.plain_text import chat, visible
from wolkvox_assets.settings import ConfigurationProblem, Settings, alert_webhook

_EVERY_SECONDS = 30
_WEBHOOK_SECONDS = 10.0
_TEXT_LENGTH = 1500
# Dagster ends a tick after 60 s: what isn't done by then is done at the next.
_SEND_SECONDS = 20.0
_MOST_RUNS = 100
_MOST_UNTOLD = 50
_KILLED = "run ended without a word"
_BY_HAND = ("__ASSET_JOB", VERIFY_RECENT)
# Longer than gaps rest after too many attempts in a day.
_MET_WITHIN = timedelta(days=2)


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
        now = datetime.now(UTC)
        # A run that ended in the future, by a clock that was ahead, must not make this deaf until then.
        since = min(
            datetime.fromisoformat(state["since"]) if "since" in state else now - timedelta(hours=1), now
        )
        wrong: dict[str, _Trouble] = state.get("wrong", {})
        seen: list[str] = state.get("seen", [])
        untold: list[str] = state.get("untold", [])
        for message in _settings_news(state.get("to_mend", []), settings.problems):
            context.log.warning(message)
            untold.append(message)
        untold += _forgotten(wrong, names, now)
        records = context.instance.get_run_records(
            filters=dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
                # Two runs can end in one instant: the last moment is looked at again, and `seen` tells them apart.
                updated_after=since - timedelta(seconds=5),
            ),
            limit=_MOST_RUNS,
            order_by="update_timestamp",
            ascending=True,
        )
        for record in records:
            if record.dagster_run.run_id in seen:
                continue
            news = _news(context.instance, record.dagster_run, names, wrong, record.update_timestamp)
            for message in news:
                context.log.warning(message)
            untold += news
            since = max(since, record.update_timestamp.astimezone(UTC))
        seen = [*seen, *(record.dagster_run.run_id for record in records)][-2 * _MOST_RUNS :]
        untold = _send(context, untold)
        cursor = {
            "since": since.isoformat(),
            "wrong": wrong,
            "seen": seen,
            "untold": untold,
            "to_mend": settings.problems,
        }
        context.update_cursor(json.dumps(cursor))
        now_wrong = [*(f"settings: {problem}" for problem in settings.problems), *sorted(wrong)]
        return dg.SkipReason("wrong at the moment: " + (", ".join(now_wrong) or "nothing"))

    return alerts


def _settings_news(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """What is to be mended in the settings, once, and that it is mended."""
    news = [
        f"wolkvox_assets: a setting has to be mended. {problem}" for problem in now if problem not in before
    ]
    if before and not now:
        news.append("wolkvox_assets: over. All settings can be used.")
    return news


class _Trouble(TypedDict):
    """A cause that is not over."""

    since: str
    """When it was first met (ISO, UTC)."""
    last: str
    """When it was last met."""
    jobs: list[str]
    """Those that met it and have not succeeded since."""
    everything: bool
    """Whether it kept anything at all from being asked: then it is over when anything was."""


def _news(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    names: set[str],
    wrong: dict[str, _Trouble],
    when: datetime,
) -> list[str]:
    """What this run's end has to say, and `wrong` (by operation and cause) brought up to date."""
    news: list[str] = []
    for operation in sorted(_operations(run, names)):
        if run.status is dg.DagsterRunStatus.SUCCESS:
            news += _over(run, operation, wrong)
        else:
            news += _trouble(instance, run, operation, wrong, when)
    return news


def _operations(run: dg.DagsterRun, names: set[str]) -> set[str]:
    """Those that this run asked for; none for a run that asked for nothing."""
    if run.job_name == VERIFY_RECENT and run.status is dg.DagsterRunStatus.SUCCESS:
        return names
    if run.asset_selection:
        return {key.path[0] for key in run.asset_selection if key.path[-1] == "agent_9_windows"} & names
    return {run.tags.get(OPERATION, "")} & names


def _trouble(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    operation: str,
    wrong: dict[str, _Trouble],
    when: datetime,
) -> list[str]:
    """The message, where this cause is new."""
    key = f"{operation}: {run.tags.get(CAUSE, _KILLED)}"
    now = when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    known = wrong.get(key)
    wrong[key] = {
        "since": known["since"] if known else now,
        "last": when.astimezone(UTC).isoformat(),
        "jobs": sorted({run.job_name, *(known["jobs"] if known else ())}),
        "everything": run.tags.get(PERMANENT) == EVERYTHING,
    }
    if known:
        return []
    message = (
        f"wolkvox_assets: trouble since {now} UTC. {_words(instance, run)} (run {run.run_id} of {run.job_name}; {key}) "
        "No further message comes for this cause until it is over."
    )
    return [message]


def _over(run: dg.DagsterRun, operation: str, wrong: dict[str, _Trouble]) -> list[str]:
    """The messages for causes that are over, now that this run has succeeded."""
    # What was begun by hand and failed is not begun again by anybody: the automation gets those windows.
    succeeded = {run.job_name} if run.job_name == f"{operation}_live" else {run.job_name, *_BY_HAND}
    messages = []
    for key in [key for key in wrong if key.startswith(f"{operation}: ")]:
        trouble = wrong[key]
        trouble["jobs"] = [job for job in trouble["jobs"] if job not in succeeded]
        if trouble["everything"] or not trouble["jobs"]:
            del wrong[key]
            messages.append(
                f"wolkvox_assets: over. {key} (since {trouble['since']} UTC); run {run.run_id} of "
                f"{run.job_name} succeeded. Where the schedule and the sensor are on, "
                "they make up by themselves for what was missed meanwhile."
            )
    return messages


def _forgotten(wrong: dict[str, _Trouble], names: set[str], now: datetime) -> list[str]:
    """Drops what can't end any more: of operations that are gone, and what was not met again for days."""
    messages = []
    for key, trouble in list(wrong.items()):
        if key.split(": ")[0] not in names:
            del wrong[key]
        elif now - datetime.fromisoformat(trouble["last"]) > _MET_WITHIN:
            del wrong[key]
            messages.append(
                f"wolkvox_assets: over, it seems. {key} (since {trouble['since']} UTC) was not met again for "
                f"{_MET_WITHIN.days} days."
            )
    return messages


def _words(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What the failed step said, or what is known of a run that could not say anything."""
    logs = instance.all_logs(
        run.run_id, of_type={dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    )
    for entry in logs:
        event = entry.dagster_event
        data = event.event_specific_data if event else None
        told = getattr(getattr(data, "user_failure_data", None), "description", None)
        if told:
            return visible(str(told))[:_TEXT_LENGTH]
    if CAUSE not in run.tags:
        return (
            "A run has ended without a word: its process was killed, or the machine was restarted. What it had "
            "committed is stored and published. Where the schedule and the sensor are on, they do the rest by "
            "themselves; where they are off, repeat the run. If it comes again, look at memory and disk."
        )
    return "Its log says why."


def _send(context: dg.SensorEvaluationContext, messages: list[str]) -> list[str]:
    """Send to the webhook, where one is set. Returns what could not be sent: it is tried again at the next tick."""
    began = time.monotonic()
    try:
        webhook = alert_webhook()
    except ConfigurationProblem as problem:
        context.log.warning(f"{problem} Messages are only in this log.")
        return []
    if webhook is None:
        return []
    for place, message in enumerate(messages):
        if time.monotonic() - began > _SEND_SECONDS:
            return messages[place:]
        try:
            # `text` is what both Slack's and Teams-compatible receivers take.
            answer = requests.post(
                webhook.get_secret_value(),
                json={"text": chat(message)},
                timeout=_WEBHOOK_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Its text holds the address, which is a secret.
            context.log.warning(f"the webhook failed ({type(error).__name__}): tried again at the next tick")
            return messages[place:][-_MOST_UNTOLD:]
        if not answer.ok:
            context.log.warning(f"the webhook answered {answer.status_code}: tried again at the next tick")
            return messages[place:][-_MOST_UNTOLD:]
    return []
