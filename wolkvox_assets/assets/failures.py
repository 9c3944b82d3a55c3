"""Errors of the client and of the store, turned into Dagster failures in one place.

What belongs here: which errors Dagster may retry, and the words around them. What doesn't: the errors.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from wolkvox_assets.api import Transient, WolkvoxError
from wolkvox_assets.settings import ConfigurationProblem
from wolkvox_assets.store import StoreError

KEPT = "Every window fetched before is stored, marked as materialised and published; repeat the run for the rest."


@contextmanager
def failures_explained(operation: str) -> Iterator[None]:
    """Raise what goes wrong inside as `dg.Failure`, with a message a person can act on.

    Only what may pass by itself may be retried: a wrong token asked again and again helps nobody.
    """
    try:
        yield
    except WolkvoxError as error:
        raise dg.Failure(
            description=f"{error} {KEPT}",
            metadata={
                "operation": operation,
                "error": type(error).__name__,
                "date_ini": error.date_ini or "",
                "date_end": error.date_end or "",
                "http_status": str(error.status),
                "msg": error.msg or "",
            },
            allow_retries=isinstance(error, Transient),
        ) from error
    except ConfigurationProblem as problem:
        raise dg.Failure(description=f"{problem} Nothing was asked.", allow_retries=False) from problem
    except StoreError as error:
        raise dg.Failure(description=f"operation {operation}: {error}", allow_retries=True) from error
