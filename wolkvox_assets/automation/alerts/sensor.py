"""The sensor `alerts`."""

import json

import dagster as dg

from wolkvox_assets import dead_runs
from wolkvox_assets.automation.alerts.news import Trouble, news
from wolkvox_assets.automation.alerts.troubles import troubles
from wolkvox_assets.automation.alerts.webhook import send
from wolkvox_assets.location import CodeLocation
from wolkvox_assets.store import StoreError

_EVERY_SECONDS = 30


def build_alerts(location: CodeLocation) -> dg.SensorDefinition:
    """Its cursor holds what was told and is not over, and what could not be sent yet."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING
        if location.settings.automation
        else dg.DefaultSensorStatus.STOPPED,
        description="Says what failed, for which operation, since when, and what to do: to the log and to "
        "WOLKVOX_ALERT_WEBHOOK. One message for one cause until it is over, and one when it is over.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = location.now()
        dead_runs.end_dead_runs(context.instance)
        state = json.loads(context.cursor) if context.cursor else {}
        told = state.get("told", {})
        try:
            wrong = troubles(context.instance, location, now)
        except StoreError as error:
            # What else is wrong cannot be told: it stays as it was.
            wrong = {cause: Trouble(now, cause) for cause in told} | {"store": Trouble(now, str(error))}
        messages, told = news(told, wrong)
        for message in messages:
            context.log.warning(message)
        unsent = send([*state.get("unsent", []), *messages], context.log)
        cursor = json.dumps({"told": told, "unsent": unsent})
        if cursor != context.cursor:
            context.update_cursor(cursor)
        return dg.SkipReason(f"not over: {', '.join(sorted(told))}" if told else "no failure is open")

    return alerts
