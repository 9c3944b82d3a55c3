"""The day's quota: a share of it is never touched, for the operation's other integrations.

What belongs here: when to look at the quota, when to stop, and until when to wait. What doesn't: asking for it
(`api/`), storing what was read (`store/`).

Looking costs a request itself, so it is done sparingly: the last reading less what was asked since is good
enough while there is plenty. Operations that share a quota (`OperationSource.quota`) share what was seen of it.

Which time zone's day the server counts is not known [?], nor how late it begins its count anew. So a quota that is used
up is looked at once an hour, and once more just after the moment at which it was seen to be renewed before.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import duckdb

from wolkvox_assets.api import (
    AnswerUnreadable,
    MissingParameters,
    NotFound,
    Quota,
    Transient,
    UnexpectedStatus,
    UnknownReport,
    WolkvoxError,
)
from wolkvox_assets.report.clocks import FUTURE_AFTER, lately
from wolkvox_assets.report.windows import WINDOW, WallClock
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.store.quota_readings import (
    NOTHING_SEEN,
    OVERLAP,
    QuotaReading,
    QuotaSeen,
    Refusal,
    quotas_seen,
)
from wolkvox_assets.store.sources import sharing_quotas

LOOK_EVERY = timedelta(hours=1)
"""How often a used-up quota is looked at."""

UNREADABLE = (NotFound, UnknownReport, MissingParameters, UnexpectedStatus, AnswerUnreadable)
"""What a server that has no `token_info`, or another one than is known, makes of a look: no condition for anything."""

_AFTER_RENEWAL = timedelta(minutes=3)  # clocks differ
# Whoever looks so long after a renewal has come a little late: else each day's look would be later than the last.
_SEEN_LATE = timedelta(minutes=4)
_DAY = timedelta(days=1)
_MOST_RENEWALS = 30

# Others use the operation's quota too: what was read gets old. A run that asks a few windows can live with
# an older reading than one that may ask thousands.
_GOOD_FOR_MANY = timedelta(hours=1)
_GOOD_FOR_FEW = timedelta(hours=6)
_FEW = 300  # windows: a day, or less
_LOOK_AGAIN_AT_LEAST = 50  # requests
_UNREADABLE_FOR = timedelta(hours=6)
# A live window takes one request, an hour of them one more, and a little has to be repaired.
_REQUESTS_A_WINDOW = 1.15


# --- What follows from what was seen ---


@dataclass(frozen=True)
class Share:
    """What part of a day's quota some work may use.

    `clock`: the operation's; at its midnight the quota is renewed, as long as nothing else was seen. `reserve`: the
    share of the day's limit that is never touched, 0 to 1. `live`: how many operations' live windows come first: 0 for
    live windows themselves.
    """

    clock: WallClock
    reserve: float
    live: int = 0

    def waits_until(self, seen: QuotaSeen, now: datetime) -> datetime | None:
        """Until when nothing is to be asked at `now`, an hour at most; None where something may be. Both aware."""
        stopped = max(self._stops(seen, now), default=None)
        if stopped is None:
            return None
        stopped = min(stopped, now)
        until = min(stopped + LOOK_EVERY, next_renewal(seen, self.clock, stopped) + _AFTER_RENEWAL)
        return until if until > now else None

    def _stops(self, seen: QuotaSeen, now: datetime) -> Iterator[datetime]:
        """When it was last seen that nothing is left."""
        refusal = _standing_refusal(seen, now)
        if refusal is not None:
            yield refusal.refused_at
        reading = valid_reading(seen, now)
        if reading is None:
            return
        if self.left(seen._replace(since=0), reading, reading.read_at) <= 0:
            yield max(reading.read_at, seen.in_vain_at or reading.read_at)
        elif seen.in_vain_at is not None and self.left(seen, reading, now) <= 0:
            yield seen.in_vain_at

    def left(self, seen: QuotaSeen, reading: QuotaReading, now: datetime) -> int:
        """How many requests may still be made at `now`, by this reading and what was asked since."""
        ours = int(reading.limit * (1 - self.reserve)) - self.kept_for_live(seen, now)
        # Whether a server counts this very request in its answer is not known: counted once more, to be safe.
        return ours - (reading.used + 1) - seen.since

    def kept_for_live(self, seen: QuotaSeen, now: datetime) -> int:
        """How many requests the live windows that come first take until the quota is renewed."""
        return self.live * int((next_renewal(seen, self.clock, now) - now) / WINDOW * _REQUESTS_A_WINDOW)


def _standing_refusal(seen: QuotaSeen, now: datetime) -> Refusal | None:
    refusal = seen.refusals[-1] if seen.refusals else None
    stands = refusal is not None and refusal.answered_at is None and refusal.refused_at <= now + FUTURE_AFTER
    return refusal if stands else None


def valid_reading(seen: QuotaSeen, now: datetime) -> QuotaReading | None:
    """The last reading, unless the quota was renewed since, as far as that is known without a look."""
    reading = seen.reading
    if reading is None or not -FUTURE_AFTER <= now - reading.read_at < _DAY:
        return None  # a clock was ahead when it was read, or it is of another day
    renewal = _seen_renewal(seen, reading.read_at)
    return None if renewal is not None and renewal + _AFTER_RENEWAL <= now else reading


def next_renewal(seen: QuotaSeen, clock: WallClock, after: datetime) -> datetime:
    """When the quota is renewed next after this moment (both aware), as far as one can tell."""
    return _seen_renewal(seen, after) or _midnight_after(clock, after)


def _seen_renewal(seen: QuotaSeen, after: datetime) -> datetime | None:
    """By what the server says itself, or by when it was seen to be renewed before; None where neither is known."""
    if seen.reading is not None and seen.reading.restarts_at is not None and seen.reading.restarts_at > after:
        return seen.reading.restarts_at
    renewals = _renewals(seen)[-_MOST_RENEWALS:]
    if not renewals:
        return None
    # The moment of the day that fits most of them; of several, the one seen last. Each is the end of a span in
    # which it was renewed, so it is late by as much as nobody looked.
    often = [sum(_fits(by, *other) for other in renewals) for _, by in renewals]
    began, by = renewals[max(range(len(renewals)), key=lambda n: (often[n], n))]
    return after + ((max(began, by - _SEEN_LATE) - after) % _DAY or _DAY)


def _renewals(seen: QuotaSeen) -> list[tuple[datetime, datetime]]:
    """Ranges in which the quota was renewed: after the first moment, and no later than the second."""
    found = [
        (earlier.read_at, later.read_at)
        for earlier, later in pairwise(seen.readings)
        if later.used < earlier.used
    ]
    found += [
        (refused_at, answered_at) for refused_at, answered_at in seen.refusals if answered_at is not None
    ]
    # What came from two operations at once says nothing, nor what came with a clock that was set back, nor what a whole
    # day lies between.
    return sorted((a, b) for a, b in found if OVERLAP < b - a < _DAY)


def _fits(moment: datetime, after: datetime, by: datetime) -> bool:
    """Whether this moment of the day lies in the span."""
    return timedelta(0) < ((moment - after) % _DAY or _DAY) <= by - after


def _midnight_after(clock: WallClock, after: datetime) -> datetime:
    midnight = clock.now(after).replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
    return clock.start_utc(midnight)


def share_of(work: Work, operation: Operation, live: int) -> Share:
    """What this work may use. `live`: how many operations' live windows come first, before all other work."""
    return Share(operation.clock, operation.quota_reserve, 0 if work is Work.LIVE else live)


def quota_waits(store: Store, operation: Operation, now: datetime) -> datetime | None:
    """Until when even live windows have to wait, by what is stored."""
    with store.reading() as con:
        seen = seen_by(con, operation, now)
    return share_of(Work.LIVE, operation, 0).waits_until(seen, now)


def seen_by(con: duckdb.DuckDBPyConnection | None, operation: Operation, now: datetime) -> QuotaSeen:
    """What is stored of the operation's quota, by all who share it."""
    return seen_by_all(con, [operation], now)[operation.source.quota]


def seen_by_all(
    con: duckdb.DuckDBPyConnection | None, operations: Sequence[Operation], now: datetime
) -> dict[tuple[str, str], QuotaSeen]:
    """What is stored of the quotas of these operations (`OperationSource.quota`)."""
    sources = {operation.name: operation.source for operation in operations}
    if con is None:
        return {source.quota: NOTHING_SEEN for source in sources.values()}
    return quotas_seen(con, sharing_quotas(con, sources), now)


def quota_group(operation: Operation, operations: Iterable[Operation]) -> list[Operation]:
    """Those that share the quota of this operation: the same server, whatever their tokens."""
    return [other for other in operations if other.source.quota == operation.source.quota]


def reserve_not_kept(reserve: float) -> str:
    """What follows where the quota can't be read."""
    return (
        f"the reserve of {reserve:.0%} is not kept: requests stop only at the API's own TOKEN LIMIT EXCEEDED"
    )


# --- Within a run ---


class ReserveReached(Exception):
    """What is left of the day's quota is not this run's to use.

    `until`: when it is looked at again (aware). `new`: the reading that was made just before.
    """

    def __init__(self, message: str, *, until: datetime, new: QuotaReading | None) -> None:
        super().__init__(message)
        self.until = until
        self.new = new


class QuotaGuard:
    """Says no before the reserve is touched.

    `seen` grows by what is seen here. `windows`: how many the run is for.
    """

    def __init__(
        self,
        share: Share,
        seen: QuotaSeen,
        *,
        windows: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.seen = seen
        self._share, self._now = share, now
        self._good_for = _GOOD_FOR_FEW if windows <= _FEW else _GOOD_FOR_MANY
        self._blind_for = 0  # requests
        self._why_blind = (
            f"token_info was requested at {seen.unreadable_at:%Y-%m-%d %H:%M} UTC, and its answer can't be read."
            if seen.unreadable_at is not None
            else ""
        )
        self._told = False

    def spent(self) -> None:
        """A request was made."""
        self.seen = self.seen._replace(since=self.seen.since + 1)
        self._blind_for -= 1

    def check(self, read: Callable[[], Quota]) -> QuotaReading | None:
        """Raises `ReserveReached` where the next request would touch the reserve. Returns a new reading.

        `read` asks `token_info`. What is wrong with the token or the quota is raised; where only this answer
        can't be had, there is no reserve to keep, and the API's own TOKEN LIMIT EXCEEDED is what stops. Where
        that may pass by itself, it is tried again a while later.
        """
        now = self._now()
        self._stop_if_used_up(now, None)
        if not self._must_look(now):
            return None
        new = self._look(read)
        self._stop_if_used_up(self._now(), new)
        return new

    def warning(self) -> str | None:
        """What a person should know: once, where requests are made and the quota is not known."""
        if self._told or valid_reading(self.seen, self._now()) is not None:
            return None
        self._told = True
        return f"The day's quota can't be read, so {reserve_not_kept(self._share.reserve)}. {self._why_blind}"

    def _stop_if_used_up(self, now: datetime, new: QuotaReading | None) -> None:
        until = self._share.waits_until(self.seen, now)
        if until is not None:
            raise ReserveReached(self._why(now), until=until, new=new)

    def _why(self, now: datetime) -> str:
        refusal, reading = _standing_refusal(self.seen, now), valid_reading(self.seen, now)
        if refusal is not None or reading is None:
            when = f" at {refusal.refused_at:%Y-%m-%d %H:%M} UTC" if refusal else ""
            return f"the server said{when} that the day's requests are used up"
        kept = self._share.kept_for_live(self.seen, reading.read_at)
        return (
            f"{reading.used + self.seen.since} of the day's {reading.limit} requests are used; the last "
            f"{self._share.reserve:.0%} are kept for the operation's other integrations"
            + (f", and {kept} for live windows" if kept else "")
        )

    def _must_look(self, now: datetime) -> bool:
        reading = valid_reading(self.seen, now)
        if reading is not None and self._share.left(self.seen, reading, now) <= 0:
            return True  # before stopping for an hour, be sure
        if self._blind_for > 0:
            return False
        unreadable_at = self.seen.unreadable_at
        if unreadable_at is not None and lately(unreadable_at, now, _UNREADABLE_FOR):
            return False  # a server that can't say is not asked again by each run
        return reading is None or self._outdated(reading, now)

    def _outdated(self, reading: QuotaReading, now: datetime) -> bool:
        if next_renewal(self.seen, self._share.clock, reading.read_at) + _AFTER_RENEWAL <= now:
            return True
        if now - reading.read_at > self._good_for:
            return True
        left, since = self._share.left(self.seen, reading, now), self.seen.since
        return since >= max(_LOOK_AGAIN_AT_LEAST, (left + since) // 4)

    def _look(self, read: Callable[[], Quota]) -> QuotaReading | None:
        try:
            quota = read()
        except Transient as error:
            self._blind_for = _LOOK_AGAIN_AT_LEAST
            self._looked_in_vain(error)
            return None
        except UNREADABLE as error:
            # Advice, no condition: where the report works, its answers are wanted all the same.
            self._looked_in_vain(error)
            self.seen = self.seen._replace(unreadable_at=self.seen.in_vain_at)
            return None
        now = self._now()
        hours = quota.hours_to_restart
        restarts_at = None if hours is None else now + timedelta(hours=hours)
        reading = QuotaReading(now, quota.limit, quota.used_today_all_tokens, restarts_at)
        self.seen = self.seen._replace(
            readings=(*self.seen.readings, reading), since=0, in_vain_at=None, unreadable_at=None
        )
        return reading

    def _looked_in_vain(self, error: WolkvoxError) -> None:
        self._why_blind = error.summary()
        self.seen = self.seen._replace(in_vain_at=self._now())
