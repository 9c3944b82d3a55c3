"""Errors of the client and of the store, turned into Dagster failures in one place.

What belongs here: which errors may pass by themselves, and the words around them. What doesn't: the errors.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from wolkvox_assets.api import AnswerTooLarge, AnswerUnreadable, Transient, WolkvoxError
from wolkvox_assets.assets.run_tags import CAUSE, EVERYTHING, NO, OPERATION, PERMANENT, THESE_WINDOWS
from wolkvox_assets.settings import ConfigurationProblem
from wolkvox_assets.store import StoreError
from wolkvox_assets.sync import NothingReadable

_KEPT = "Every window fetched before is stored, marked as materialised and published; repeat the run for the rest."


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
    except WolkvoxError as error:
        permanent = not isinstance(error, Transient)
        about_windows = isinstance(error, AnswerUnreadable | AnswerTooLarge)
        if tag:
            lasting = THESE_WINDOWS if about_windows else EVERYTHING
            _tag(context, operation, error, lasting if permanent else None)
        failure = SomeWindowsFailed if about_windows else dg.Failure
        raise failure(
            description=f"{error} {_KEPT}",
            metadata={
                "operation": operation,
                "error": type(error).__name__,
                "date_ini": error.date_ini or "",
                "date_end": error.date_end or "",
                "http_status": str(error.status),
                "msg": error.msg or "",
            },
            allow_retries=not permanent,
        ) from error
    except NothingReadable as error:
        if tag:
            _tag(context, operation, error.first, EVERYTHING)
        raise dg.Failure(description=f"{error} {_KEPT}", allow_retries=False) from error
    except ConfigurationProblem as problem:
        if tag:
            _tag(context, operation, problem, EVERYTHING)
        raise dg.Failure(description=f"{problem} Nothing was asked.", allow_retries=False) from problem
    except StoreError as error:
        if tag:
            _tag(context, operation, error, None)
        raise dg.Failure(description=f"operation {operation}: {error}", allow_retries=True) from error


def _tag(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    operation: str,
    error: Exception,
    permanent: str | None,
) -> None:
    tags = {OPERATION: operation, CAUSE: type(error).__name__, PERMANENT: permanent or NO}
    context.instance.add_run_tags(context.run.run_id, tags)
