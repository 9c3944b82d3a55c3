"""The day's quota: a share of it is never touched, for the operation's other integrations.

What belongs here: when to look at the quota, and when to stop. What doesn't: asking for it (`api/`),
storing what was read (`store/`).

Looking costs a request itself, so it is done sparingly: the last reading less what was asked since is good
enough while there is plenty.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from wolkvox_assets.api import (
    AnswerUnreadable,
    MissingParameters,
    NotFound,
    Quota,
    Transient,
    UnexpectedStatus,
    UnknownReport,
)
from wolkvox_assets.clocks import FUTURE_AFTER
from wolkvox_assets.store.verdicts import QuotaReading
from wolkvox_assets.windows import WallClock

# Others use the operation's quota too: what was read gets old. A run that asks a few windows can live with
# an older reading than one that may ask thousands.
_GOOD_FOR_MANY = timedelta(hours=1)
_GOOD_FOR_FEW = timedelta(hours=6)
_FEW = 300  # windows: a day, or less
_LOOK_AGAIN_AT_LEAST = 50  # requests
_SURE_FOR = timedelta(minutes=1)
_UNKNOWN_FOR = timedelta(hours=6)
# Of each hour: a day's count begins anew on the hour, and clocks differ.
_LOOKED_AT_MINUTE = 5


class ReserveReached(Exception):
    """What is left of the day's quota is not this run's to use.

    `at`: when that was (aware). `new`: the reading that was made just before. `live_goes_on`: it is held back
    for live windows, which may use it; else it is the reserve, which nobody may touch.
    """

    def __init__(self, message: str, *, at: datetime, new: QuotaReading | None, live_goes_on: bool) -> None:
        super().__init__(message)
        self.at = at
        self.new = new
        self.live_goes_on = live_goes_on


class QuotaGuard:
    """Says no before the reserve is touched.

    `reserve`: a share of the day's limit, 0 to 1. `known`: the last reading and the requests made since,
    where there is one. `in_vain_at`: when the server last answered (aware), but not with the quota.
    `windows`: how many the run is for. `held_back`: says how many requests are left to live windows as well.
    """

    def __init__(
        self,
        clock: WallClock,
        reserve: float,
        known: tuple[QuotaReading, int] | None,
        *,
        in_vain_at: datetime | None = None,
        windows: int,
        held_back: Callable[[], int] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock, self._reserve, self._now = clock, reserve, now
        self._reading: QuotaReading | None
        self._reading, self._since = known or (None, 0)
        self._good_for = _GOOD_FOR_FEW if windows <= _FEW else _GOOD_FOR_MANY
        self._held_back = held_back
        self._kept: int | None = None
        # A server that can't say is not asked again by each run.
        self._no_look_before = in_vain_at + _UNKNOWN_FOR if in_vain_at is not None else None
        self._blind_for = 0  # requests

    def spent(self) -> None:
        """A request was made."""
        self._since += 1

    def check(self, read: Callable[[], Quota]) -> QuotaReading | None:
        """Raises `ReserveReached` where the next request would touch the reserve. Returns a new reading.

        `read` asks `token_info`. What is wrong with the token or the quota is raised; where only this answer
        can't be had, there is no reserve to keep, and the API's own TOKEN LIMIT EXCEEDED is what stops. Where
        that may pass by itself, it is tried again a while later.
        """
        new = None
        # Before stopping for a day, be sure; but a reading of a moment ago is sure enough.
        if self._blind_for > 0:
            self._blind_for -= 1
        elif self._no_look_before is not None and self._now() < self._no_look_before:
            if self._reading is not None and self._another_day(self._reading):
                self._reading = None
        elif self._outdated() or (self._left() <= 0 and not self._fresh()):
            new = self._look(read)
        if self._reading is not None and self._left() <= 0:
            raise ReserveReached(
                f"{self._reading.used + self._since} of the day's {self._reading.limit} requests are used; the last "
                f"{self._reserve:.0%} are kept for the operation's other integrations"
                + (f", and {self._kept} for its live windows" if self._kept else ""),
                at=self._now(),
                new=new,
                live_goes_on=bool(self._kept) and self._ours() > self._since,
            )
        return new

    def _outdated(self) -> bool:
        if self._reading is None:
            return True
        now = self._now()
        if self._another_day(self._reading):
            self._kept = None
            return True
        age = now - self._reading.read_at
        if age > self._good_for or age < -FUTURE_AFTER:  # or a clock was ahead when it was read
            return True
        return self._since >= max(_LOOK_AGAIN_AT_LEAST, (self._left() + self._since) // 4)

    def _another_day(self, reading: QuotaReading) -> bool:
        return self._clock.now(self._now()).date() != self._clock.now(reading.read_at).date()

    def _fresh(self) -> bool:
        assert self._reading is not None  # noqa: S101  # asked only where there is one
        return self._since <= 1 and self._now() - self._reading.read_at < _SURE_FOR

    def _ours(self) -> int:
        assert self._reading is not None  # noqa: S101  # asked only where there is one
        return int(self._reading.limit * (1 - self._reserve)) - self._reading.used

    def _left(self) -> int:
        if self._kept is None:
            self._kept = self._held_back() if self._held_back is not None else 0
        return self._ours() - self._kept - self._since

    def _look(self, read: Callable[[], Quota]) -> QuotaReading | None:
        try:
            quota = read()
        except Transient:
            self._blind_for = _LOOK_AGAIN_AT_LEAST
            if self._reading is not None and self._another_day(self._reading):
                self._reading = None
            return None
        except (NotFound, UnknownReport, MissingParameters, UnexpectedStatus, AnswerUnreadable):
            # Advice, no condition: where `agent_9` works, its answers are wanted all the same.
            self._no_look_before, self._reading = self._now() + _UNKNOWN_FOR, None
            return None
        # Whether a server counts this very request in its answer is not known: counted once more, to be safe.
        self._reading, self._since = QuotaReading(self._now(), quota.limit, quota.used_today_all_tokens), 1
        self._kept = None  # live windows need less and less as the day goes on
        return self._reading


def goes_on_at(stopped_at: datetime) -> datetime:
    """When the quota is looked at again, having been found used up at that moment (both aware; the result in UTC).

    Once an hour: which time zone's day the server counts is not known [?], nor how late it begins its count anew. It
    costs a request or two, and whoever waited for one certain midnight could wait a day too long.
    """
    turn = stopped_at.astimezone(UTC).replace(minute=_LOOKED_AT_MINUTE, second=0, microsecond=0)
    return turn if stopped_at < turn else turn + timedelta(hours=1)
