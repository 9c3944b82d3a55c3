"""Errors of the client and of the store, as Dagster failures; and what a run that failed could not report.

What doesn't belong here: when our automation tries again (`pipeline/attempts.py`).
"""

import dagster as dg

from wolkvox_assets.api import WolkvoxError
from wolkvox_assets.pipeline.attempts import scope_of
from wolkvox_assets.report.plain_text import visible
from wolkvox_assets.settings import ConfigurationProblem
from wolkvox_assets.store import OtherSource, StoreError
from wolkvox_assets.store.attempts import FailureScope, Work
from wolkvox_assets.sync import BadAnswers, TimesIgnored

_KEPT = (
    "Every window fetched before is stored and marked as materialised. Where the schedule and the sensor "
    "are on, they request the rest by themselves; where they are off, repeat the run."
)
_DIED = (
    "A run died without reporting: its process was killed, or the machine was restarted. What it had committed is "
    "stored. Where the schedule and the sensor are on, they do the rest by themselves; where they "
    "are off, repeat the run. If it happens again, check memory and disk."
)

REPORTED = {"reported": True}
"""Metadata of a failure of which pauses and alerts know, or need not know."""


def as_failure(
    error: Exception, operation: str, work: Work = Work.RANGE, *, reported: bool = False
) -> dg.Failure:
    """What a person reads of this error, and what to do. Only what may pass by itself may be retried: a wrong token
    asked again and again helps nobody. Raises the error itself where it is none that can be explained.

    `reported`: it is stored for pauses and alerts.
    """
    match error:
        case BadAnswers() | TimesIgnored() | WolkvoxError():
            words = f"{visible(str(error))} {_KEPT}"
        case OtherSource():
            words = f"{error}"
        case ConfigurationProblem():
            words = f"{error} Nothing was requested."
        case StoreError():
            words = f"operation {operation}: {error}"
        case _:
            raise error
    return dg.Failure(
        description=words,
        metadata={**_metadata(operation, error), **(REPORTED if reported else {})},
        allow_retries=scope_of(error, work) in {None, FailureScope.TEMPORARY},
    )


def unreported(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """What is known of this run, which has failed, where it could not report that to pauses and alerts: its process was
    killed, or nothing could be stored. None where it could.
    """
    ended = [
        getattr(entry.get_dagster_event().event_specific_data, "user_failure_data", None)
        for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    ]
    if not ended:
        return _DIED
    for data in ended:
        if data is None or not REPORTED.keys() <= data.metadata.keys():
            return visible(data.description) if data and data.description else "Its log says why."
    return None


def _metadata(operation: str, error: Exception) -> dict[str, str]:
    error = error.first if isinstance(error, BadAnswers) else error
    about = {"operation": operation, "error": type(error).__name__}
    if isinstance(error, WolkvoxError):
        about |= {
            "date_ini": (error.asked and error.asked.date_ini) or "",
            "date_end": (error.asked and error.asked.date_end) or "",
            "http_status": str(error.status),
            "msg": visible(error.msg or ""),
        }
    return about
