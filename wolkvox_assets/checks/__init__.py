"""Checks of what is stored: is it sound, is it complete, is it new.

What belongs here: each check as a whole: what it is of, how bad it is, how its cases are found, the words for people.
What doesn't: Dagster (`orchestration/checks.py` defines and logs them). None makes a request or changes anything.
"""

from wolkvox_assets.checks.check import (
    EVERYTHING,
    Cases,
    Check,
    Look,
    Result,
    Scope,
    Severity,
    evaluate,
    touched_by,
)
from wolkvox_assets.checks.days import AGENT_DAYS, OPERATION_DAYS, READY_AFTER
from wolkvox_assets.checks.windows import NEWEST, OLD_AFTER, STALE_AFTER, WINDOWS

CHECKS = (*WINDOWS, *AGENT_DAYS, *OPERATION_DAYS)

__all__ = [
    "CHECKS",
    "EVERYTHING",
    "NEWEST",
    "OLD_AFTER",
    "READY_AFTER",
    "STALE_AFTER",
    "Cases",
    "Check",
    "Look",
    "Result",
    "Scope",
    "Severity",
    "evaluate",
    "touched_by",
]
