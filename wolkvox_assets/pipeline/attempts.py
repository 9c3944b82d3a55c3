"""How often each kind of work is tried: within a run by the client, and by later runs after one that failed.

What belongs here: all numbers and rules about trying again, as pure functions of what failed and of the time. What
doesn't: storing attempts (`store/attempts.py`), applying a `RetryPolicy` to a question (`api/retries.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from wolkvox_assets.api import RetryPolicy, Transient, WolkvoxError
from wolkvox_assets.report.clocks import lately
from wolkvox_assets.settings import ConfigurationProblem
from wolkvox_assets.store import OtherSource
from wolkvox_assets.store.attempts import FailedAttempt, FailureScope, Work
from wolkvox_assets.sync import BadAnswers, TimesIgnored


@dataclass(frozen=True)
class WorkPolicy:
    """How patient one kind of work is.

    `client`: how one question is asked again. `give_up_after`: so many windows that cannot be read, and none that can.
    `urgent`: by the urgent lane of the token's lock.
    """

    client: RetryPolicy
    give_up_after: int
    urgent: bool = False


# The next tick is the next try: less is asked of a server that is down than where a long run would be lost. An hour of
# windows of which none can be read is no matter of these windows.
_OF_A_TICK = RetryPolicy(attempts=5, deadline_seconds=150, doubtful=3)

POLICIES = {
    Work.LIVE: WorkPolicy(_OF_A_TICK, give_up_after=12, urgent=True),
    Work.RECENT: WorkPolicy(_OF_A_TICK, give_up_after=12),
    # The sensor is the next try, but a long run should not end at each bad minute of a server.
    Work.HISTORY: WorkPolicy(
        RetryPolicy(attempts=12, deadline_seconds=300, doubtful=4),
        give_up_after=150,
    ),
    Work.RANGE: WorkPolicy(RetryPolicy(), give_up_after=150),
}


class _Pauses(NamedTuple):
    """After the first failure in a row, twice as long after each further one, and at most `longest`."""

    first: timedelta
    longest: timedelta

    def after(self, failures: int) -> timedelta:
        return min(self.first * (1 << min(failures, 20) - 1), self.longest)


_PAUSES = {
    FailureScope.TEMPORARY: _Pauses(timedelta(minutes=1), timedelta(minutes=30)),
    # Somebody may have repaired it at the server's side.
    FailureScope.OPERATION: _Pauses(timedelta(minutes=15), timedelta(hours=4)),
}

MOST_A_DAY = 30
"""Failed attempts at history in a row; then it rests for a day."""

PAUSE_WHEN_STOPPED = timedelta(hours=1)
"""After a run of history that a person has stopped, who wants it to stay so for a while."""

PAUSE_WHEN_DIED = timedelta(minutes=10)
"""After one that was killed, or could not store anything: it may be the memory or the disk."""

SAME_AGAIN_AFTER = timedelta(hours=1)
"""After one that left the windows it was for as they were."""

_DAY = timedelta(days=1)
# Longer than any pause between live attempts: if none came within it, the schedule is off.
_LIVE_TRIES_WITHIN = timedelta(hours=1)


def scope_of(error: Exception, work: Work) -> FailureScope | None:
    """What this error says about the next try; None where it says nothing about the operation (a full disk, say)."""
    match error:
        case BadAnswers():
            # A whole hour of live windows is no matter of these windows; of history, nothing of that follows.
            return FailureScope.OPERATION if error.given_up and work is Work.LIVE else FailureScope.WINDOWS
        case WolkvoxError():
            return FailureScope.TEMPORARY if isinstance(error, Transient) else FailureScope.OPERATION
        case ConfigurationProblem() | OtherSource() | TimesIgnored():
            return FailureScope.OPERATION
        case _:
            return None


def waits_until(failed: Sequence[FailedAttempt], work: Work, now: datetime) -> datetime | None:
    """When this work may be tried again (aware), or None where it may be at `now` (aware).

    `failed`: the failed attempts of the operation since each kind of work last succeeded, in the order in which they
    were stored. Moments of the future make nobody wait: a clock was ahead.
    """
    return max(_pauses(failed, work, now), default=None)


def _pauses(failed: Sequence[FailedAttempt], work: Work, now: datetime) -> Iterator[datetime]:
    temporary = [attempt for attempt in failed if attempt.scope is FailureScope.TEMPORARY]
    own = [attempt for attempt in temporary if attempt.work is work]
    yield from _after([a for a in failed if a.scope is FailureScope.OPERATION], FailureScope.OPERATION, now)
    yield from _after(own, FailureScope.TEMPORARY, now)
    if work is Work.HISTORY and len(own) >= MOST_A_DAY and lately(own[-1].ended_at, now, _DAY):
        yield own[-1].ended_at + _DAY
    # While live windows cannot be had, nothing else can: one kind of work that tries is enough.
    live = [attempt for attempt in temporary if attempt.work is Work.LIVE]
    if work is not Work.LIVE and live and lately(live[-1].ended_at, now, _LIVE_TRIES_WITHIN):
        yield live[-1].ended_at + _LIVE_TRIES_WITHIN


def _after(failed: Sequence[FailedAttempt], scope: FailureScope, now: datetime) -> Iterator[datetime]:
    if failed:
        pause, last = _PAUSES[scope].after(len(failed)), failed[-1].ended_at
        if lately(last, now, pause):
            yield last + pause
