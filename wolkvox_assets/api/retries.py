"""When to ask again, and how long to wait before.

What belongs here: the numbers (`RetryPolicy`), and how they are applied to one question (`RetryBudget`,
whose methods tenacity calls). What doesn't: which errors are worth it (`errors.py`: the `Transient`
ones), sending (`client.py`). This is the only layer of retries: those of urllib3 are off, since the
attempts of two layers multiply.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tenacity import RetryCallState

from wolkvox_assets.api.errors import (
    RowsMissing,
    TimedOut,
    TooManyAtOnce,
    TooSlow,
    Transient,
    Unavailable,
)

_BRIEF_RETRY_AFTER = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one question is asked again. All times are in seconds.

    `attempts`: requests at most, the first one included.
    `deadline_seconds`: for everything, requests and waits together; the wait for the token's lock is not counted,
    for that is other people's work and no trouble of the server's.
    `first_wait`, `longest_wait`: the wait before attempt n+1 is random between 0 and `first_wait * 2**(n-1)`,
    at most `longest_wait` ("full jitter": those who failed together do not come back together).
    `doubtful`: a 403 whose text nobody published, or an answer that lacks rows, is seen this often, then reported:
    it may pass, or be what the server means.
    `slow`: an answer that does not come in time is waited for this often.
    `faults`: anything but a collision with somebody else's request is seen this often.
    `retry_after_cap`: a server's `Retry-After` counts up to this.
    """

    attempts: int = 20
    deadline_seconds: float = 900
    first_wait: float = 0.25
    longest_wait: float = 30
    doubtful: int = 6
    slow: int = 20
    retry_after_cap: float = 300
    faults: int = 1000

    def for_advice(self) -> "RetryPolicy":
        """The same for what one can do without: given up after a few attempts."""
        return replace(self, attempts=min(self.attempts, 3), doubtful=min(self.doubtful, 2))

    def for_long_range(self) -> "RetryPolicy":
        """The same where a shorter range may be answered sooner."""
        return replace(self, slow=min(self.slow, 2))

    def briefly(self, requests: int) -> "RetryPolicy":
        """The same where so many failed requests are enough to look whether it is the range that fails."""
        return replace(
            self, faults=requests, slow=1, retry_after_cap=min(self.retry_after_cap, _BRIEF_RETRY_AFTER)
        )


class RetryBudget:
    """What is left of the policy while one question is repeated."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._random = random
        self._started = clock()
        self._doubtful: Counter[type[Exception]] = Counter()
        self._slow = 0
        self._faults = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the question was first asked."""
        return self._clock() - self._started

    @property
    def remaining(self) -> float:
        """Seconds to the deadline."""
        return self._policy.deadline_seconds - self.elapsed

    def excuse(self, seconds: float) -> None:
        """These seconds do not count."""
        self._started += seconds

    def wait(self, state: RetryCallState) -> float:
        """Seconds to wait before the next attempt."""
        policy = self._policy
        # 2**32 is over any longest_wait, and keeps the power from overflowing after a thousand attempts.
        ceiling = min(policy.longest_wait, policy.first_wait * 2.0 ** min(state.attempt_number - 1, 32))
        error = _error(state)
        asked_for = (error.retry_after or 0.0) if isinstance(error, Transient) else 0.0
        return max(self._random() * ceiling, min(asked_for, policy.retry_after_cap))

    def is_over(self, state: RetryCallState) -> bool:
        """Whether to give up. tenacity has already called `wait`."""
        # Counted by kind: a maintenance page after many collisions still gets all its attempts.
        error = _error(state)
        if isinstance(error, Unavailable | RowsMissing):
            self._doubtful[type(error)] += 1
        self._slow += isinstance(error, TimedOut | TooSlow)
        self._faults += not isinstance(error, TooManyAtOnce)
        return (
            state.attempt_number >= self._policy.attempts
            or self._slow >= self._policy.slow
            or self._faults >= self._policy.faults
            or max(self._doubtful.values(), default=0) >= self._policy.doubtful
            or state.upcoming_sleep >= self.remaining
        )


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """`Retry-After` in either form, as seconds from `now` (aware); `None` where it says nothing usable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)  # infinity after 309 digits; the policy caps it
    when = http_date(text)
    return None if when is None else max(0.0, (when - now).total_seconds())


def http_date(header: str | None) -> datetime | None:
    """A date from a header, in UTC; `None` where there is none, or an impossible one."""
    try:
        when = parsedate_to_datetime(header or "")
        when = when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)  # "-0000": UTC, from nowhere
    except (ValueError, OverflowError):
        return None
    return when if 1970 <= when.year < 3000 else None
