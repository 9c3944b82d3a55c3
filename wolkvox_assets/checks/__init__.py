"""Checks of what is stored: is it sound, is it complete, is it new.

What belongs here: each check as a whole: what it is of, how bad it is, how its cases are found, the words for people.
What doesn't: Dagster (`orchestration/checks.py` defines and logs them). None makes a request or changes anything.
"""

from functools import cache

from wolkvox_assets.checks.check import (
    EVERYTHING,
    Beside,
    Cases,
    Check,
    Look,
    Result,
    Scope,
    Severity,
    evaluate,
    of_report,
    touched_by,
)
from wolkvox_assets.checks.days import AGENT_DAYS, OPERATION_DAYS, READY_AFTER, still_loading
from wolkvox_assets.checks.windows import NEWEST, TOTAL, WINDOWS
from wolkvox_assets.report.definition import Report


@cache
def checks_of(report: Report) -> tuple[Check, ...]:
    """All checks of this report."""
    checks = (*WINDOWS, *AGENT_DAYS, *OPERATION_DAYS)
    return tuple(of_report(check, report) for check in checks if report.total or check is not TOTAL)


def newest_of(report: Report) -> Check:
    """The one that tells whether the newest window is recent."""
    return next(check for check in checks_of(report) if check.name == NEWEST.name)


__all__ = [
    "EVERYTHING",
    "READY_AFTER",
    "Beside",
    "Cases",
    "Check",
    "Look",
    "Result",
    "Scope",
    "Severity",
    "checks_of",
    "evaluate",
    "newest_of",
    "still_loading",
    "touched_by",
]
