"""Errors of the client and of the store, turned into Dagster failures in one place.

What belongs here: which errors may pass by themselves, and the words around them. What doesn't: the errors.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from wolkvox_assets.api import Transient, WolkvoxError
from wolkvox_assets.assets.live_schedule import live_job_name
from wolkvox_assets.assets.run_tags import CAUSE, EVERYTHING, NO, OPERATION, PERMANENT, THESE_WINDOWS
from wolkvox_assets.plain_text import visible
from wolkvox_assets.settings import ConfigurationProblem
from wolkvox_assets.store import OtherSource, StoreError
from wolkvox_assets.sync import BadAnswers

_KEPT = (
    "Every window fetched before is stored, marked as materialised and published. Where the schedule and the sensor "
    "are on, they ask for the rest by themselves; where they are off, repeat the run."
)


class SomeWindowsFailed(dg.Failure):
    """Some windows can't be had; all others were."""


@contextmanager
def failures_explained(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, operation: str, *, tag: bool = True
) -> Iterator[None]:
    """Raise what goes wrong inside as `dg.Failure`, with a message a person can act on.

    Only what may pass by itself may be retried: a wrong token asked again and again helps nobody. Tags tell
    the automation, whose retries are another system than Dagster's; without `tag` they are left alone.
    """
    try:
        yield
    except BadAnswers as bad:
        if tag:
            # Of history that can't be read, live windows say nothing, nor it of them.
            everything = bad.given_up and context.run.job_name == live_job_name(operation)
            _tag(context, operation, bad.first, EVERYTHING if everything else THESE_WINDOWS)
        failure = dg.Failure if bad.given_up else SomeWindowsFailed
        raise failure(
            description=f"{visible(str(bad))} {_KEPT}",
            metadata=_metadata(operation, bad.first),
            allow_retries=False,
        ) from bad
    except WolkvoxError as error:
        permanent = not isinstance(error, Transient)
        if tag:
            _tag(context, operation, error, EVERYTHING if permanent else None)
        raise dg.Failure(
            description=f"{visible(str(error))} {_KEPT}",
            metadata=_metadata(operation, error),
            allow_retries=not permanent,
        ) from error
    except (ConfigurationProblem, OtherSource) as problem:
        if tag:
            _tag(context, operation, problem, EVERYTHING)
        asked = " Nothing was asked." if isinstance(problem, ConfigurationProblem) else ""
        raise dg.Failure(description=f"{problem}{asked}", allow_retries=False) from problem
    except StoreError as error:
        if tag:
            _tag(context, operation, error, None)
        raise dg.Failure(description=f"operation {operation}: {error}", allow_retries=True) from error


def _metadata(operation: str, error: Exception) -> dict[str, str]:
    about = {"operation": operation, "error": type(error).__name__}
    if isinstance(error, WolkvoxError):
        about |= {
            "date_ini": error.date_ini or "",
            "date_end": error.date_end or "",
            "http_status": str(error.status),
            "msg": visible(error.msg or ""),
        }
    return about


def _tag(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    operation: str,
    error: Exception,
    permanent: str | None,
) -> None:
    tags = {OPERATION: operation, CAUSE: type(error).__name__, PERMANENT: permanent or NO}
    context.instance.add_run_tags(context.run.run_id, tags)
