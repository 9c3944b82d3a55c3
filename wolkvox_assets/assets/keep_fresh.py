"""What is most urgent, done within a run: new windows, then settled hours and closed days, then recent gaps.

What belongs here: the order in which duties are done, and doing them between two requests of a run that
holds the token for long. What doesn't: what is due (`duties.py`), how windows are made true
(`synchronise.py`), starting runs (`automation/`).
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets import duties
from wolkvox_assets.api import RetryPolicy
from wolkvox_assets.assets.failures import SomeWindowsFailed, failures_explained
from wolkvox_assets.assets.live_schedule import live_of_quota, with_live_windows
from wolkvox_assets.assets.run_tags import serves
from wolkvox_assets.assets.synchronise import Context, make_windows_true
from wolkvox_assets.clocks import Clocks
from wolkvox_assets.quota import quota_waits
from wolkvox_assets.resources import StoreResource
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store import Store
from wolkvox_assets.store.additivity import latest_verdict
from wolkvox_assets.store.evidence import resting
from wolkvox_assets.store.gaps import days_known, holes, verified
from wolkvox_assets.windows import Range

_LONGEST_PAUSE = timedelta(hours=1)
_GAPS_AT_A_TIME = 288  # windows: what is asked of them before the run's own turn comes again

# The next tick is the next try: less is asked of a server that is down than where a long run would be lost.
_LIVE_RETRIES = RetryPolicy(attempts=5, deadline_seconds=150, doubtful=3)
# An hour of windows, none of which can be read: that is not the windows.
_GIVE_UP_AFTER = 12

GAP_RETRIES = RetryPolicy(attempts=12, deadline_seconds=300, doubtful=4)
"""The sensor is the next try, but a long run should not end at each bad minute of a server's."""


def keep_fresh(
    context: Context,
    operation: Operation,
    delay: timedelta,
    *,
    live: int,
    nested: bool = False,
) -> None:
    """Ask the windows that have just closed, then verify hours that settled and days that closed.

    `delay`: how long after its end a window is first asked. `live`: how many operations' live windows come before
    what is verified, where the day's quota gets scarce. `nested`: between two requests of another run's.

    Raises `dg.Failure`.
    """
    clocks = Clocks()
    windows = _Live(context, operation, delay, clocks, nested=nested)
    windows.ask()
    # Looked up only now: what was just fetched may complete an hour.
    make_windows_true(
        context,
        operation,
        _to_verify(context, operation, clocks.now(), live=live, nested=nested),
        # It is one request mostly, but hundreds where a day has to be asked window by window.
        between=windows.ask_when_due,
        live=live,
        retry=_LIVE_RETRIES,
        give_up_after=_GIVE_UP_AFTER,
        nested=nested,
        clocks=clocks,
    )
    if windows.unreadable is not None:
        raise windows.unreadable


def _to_verify(
    context: Context, operation: Operation, now: datetime, *, live: int, nested: bool
) -> list[datetime]:
    """What is due to be verified at `now` (aware); nothing where the rest of the day's quota is for live windows."""
    store = context.resources.store.store
    if quota_waits(store, operation, now, live):
        return []
    with failures_explained(context, operation.name, tag=not nested):
        with store.reading() as con:
            verdict = latest_verdict(con, operation.name) if con else None
            left_out = resting(con, operation.name, now) if con else set()
            days = days_known(con, operation.name, operation.start, now) if con else {}
        due = duties.to_verify(
            operation,
            _known(store, operation, now),
            days,
            duties.trust_in((verdict.proved_at, verdict.holds) if verdict else None, now),
            now,
        )
    return [window for window in due if window not in left_out]


class _Live:
    """The live windows of one operation, asked when they are due.

    `unreadable`: the failure of those that can't be read, raised when all else is done: the others are there,
    and late records are found all the same.
    """

    def __init__(
        self, context: Context, operation: Operation, delay: timedelta, clocks: Clocks, *, nested: bool
    ) -> None:
        self._context, self._operation, self._delay, self._nested = context, operation, delay, nested
        self._clocks = clocks
        self._due = datetime.now(UTC)
        self.unreadable: SomeWindowsFailed | None = None

    def ask(self) -> None:
        files: StoreResource = self._context.resources.store
        now = datetime.now(UTC)
        if self._nested and quota_waits(files.store, self._operation, now):
            return
        with failures_explained(self._context, self._operation.name, tag=not self._nested):
            windows = duties.live_windows(
                self._operation, _known(files.store, self._operation, now), now, self._delay
            )
            with files.store.reading() as con:
                left_out = resting(con, self._operation.name, now) if con and windows else set()
            windows = [window for window in windows if window not in left_out]
        self._due = duties.next_live(now, self._delay)
        try:
            make_windows_true(
                self._context,
                self._operation,
                windows,
                retry=_LIVE_RETRIES,
                give_up_after=_GIVE_UP_AFTER,
                nested=self._nested,
                clocks=self._clocks,
            )
        except SomeWindowsFailed as failure:
            self.unreadable = failure

    def ask_when_due(self) -> None:
        if datetime.now(UTC) >= self._due:
            self.ask()


class Meanwhile:
    """What a run that holds the token for long does before and between its own requests, and what it leaves to
    others.

    Each time a window has closed: what is due of all operations that share the token, and then, once it has
    begun itself, the gaps of their last days, but for `own`, the windows of `operation` that this run is for.
    Nothing for those whose live schedule is not carried out on this instance: then a range is just that range.
    """

    def __init__(
        self,
        context: Context,
        settings: Settings,
        sharers: tuple[Operation, ...],
        operation: Operation,
        own: Iterable[datetime],
    ) -> None:
        self._context, self._settings, self._sharers = context, settings, sharers
        self._own = {operation.name: set(own)}
        self._begun = False
        self._due = datetime.now(UTC)
        self._failed: dict[str, tuple[int, datetime]] = {}

    def serve(self) -> None:
        # Gaps can take minutes: a run for a single window is not to wait for them.
        begins, self._begun = not self._begun, True
        if self._keep_fresh() and not begins:
            for operation in self._served():
                self._unless_it_failed_lately(
                    f"fill the gaps of {operation.name}", self._fill_gaps, operation
                )

    def _keep_fresh(self) -> bool:
        """Does what is due of all of them, if it is time to. Returns whether that worked for any."""
        now = datetime.now(UTC)
        if now < self._due:
            return False
        self._due = duties.next_live(now, self._settings.live_delay)
        worked = False
        for operation in self._served():
            # Where it fails no tag says that this operation is served, and its own live run waits its turn.
            if self._unless_it_failed_lately(f"keep {operation.name} fresh", self._serve_one, operation):
                worked = True
                self._context.instance.add_run_tags(
                    self._context.run.run_id, {serves(operation.name): datetime.now(UTC).isoformat()}
                )
        return worked

    def _serve_one(self, operation: Operation) -> None:
        try:
            keep_fresh(
                self._context, operation, self._settings.live_delay, live=self.live(operation), nested=True
            )
        except SomeWindowsFailed as failure:
            # It keeps no other waiting. When it is live no more it is a gap, whose run fails by itself and is heard.
            self._context.log.warning(f"While {operation.name} was kept fresh: {failure.description}")

    def _fill_gaps(self, operation: Operation) -> None:
        files: StoreResource = self._context.resources.store
        now, live = datetime.now(UTC), self.live(operation)
        if quota_waits(files.store, operation, now, live):
            return
        with failures_explained(self._context, operation.name, tag=False), files.store.reading() as con:
            left_out = resting(con, operation.name, now) if con else set()
            found = duties.gaps(
                operation,
                lambda r: holes(con, operation.name, r.start, r.end, now, left_out) if con else [r],
                now,
                most=_GAPS_AT_A_TIME,
                since=duties.recent(operation, now),
            )
        own = self._own.get(operation.name, set())
        make_windows_true(
            self._context,
            operation,
            [window for r in found for window in r.windows() if window not in own],
            between=self._keep_fresh,
            live=live,
            retry=GAP_RETRIES,
            nested=True,
        )

    def _unless_it_failed_lately(
        self, what: str, do: Callable[[Operation], None], operation: Operation
    ) -> bool:
        """Whether it was done. The run goes on where it fails: what the run is for may still work."""
        now = datetime.now(UTC)
        times, not_before = self._failed.get(what, (0, now))
        if now < not_before:
            return False
        try:
            do(operation)
        except dg.Failure as failure:
            pause = min(timedelta(minutes=5) * (1 << min(times, 5)), _LONGEST_PAUSE)
            self._failed[what] = (times + 1, now + pause)
            self._context.log.warning(f"Could not {what} meanwhile: {failure.description}")
            return False
        self._failed.pop(what, None)
        return True

    def live(self, operation: Operation) -> int:
        """How many operations' live windows come before the gaps and the history of this one."""
        return live_of_quota(self._context.instance, self._settings, operation)

    def _served(self) -> list[Operation]:
        return with_live_windows(self._context.instance, self._settings, self._sharers)


def _known(store: Store, operation: Operation, now: datetime) -> Callable[[Range], dict[datetime, datetime]]:
    """The known windows of a range, and when each was verified (UTC, naive)."""

    def known(stretch: Range) -> dict[datetime, datetime]:
        with store.reading() as con:
            return verified(con, operation.name, stretch.start, stretch.end, now) if con else {}

    return known
