"""The tags by which runs and automation understand each other.

What belongs here: their names. What doesn't: what is made of them.
"""

BACKFILL = "dagster/backfill"
"""Dagster's own: the run belongs to a backfill."""

OPERATION = "wolkvox/operation"
"""The operation that a run of the automation is for."""


def serves(operation: str) -> str:
    """The run does what is due of this operation between its own requests; when it last did (ISO, UTC)."""
    return f"wolkvox/serves/{operation}"


CAUSE = "wolkvox/cause"
"""Why the run failed, in a word: the name of the error."""

PERMANENT = "wolkvox/permanent"
"""The run failed for a reason that does not pass by itself: `EVERYTHING`, or `THESE_WINDOWS`; `NO`."""

EVERYTHING = "everything"
"""Nothing of this operation can work: the token, an address, stored data from elsewhere."""

NO = "no"
"""It may pass by itself."""

THESE_WINDOWS = "these windows"
"""Other windows may well be had: an answer that can't be read."""
