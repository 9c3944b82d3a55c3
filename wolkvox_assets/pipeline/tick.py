"""A tick: for each operation the windows that have just closed, then what is due to be verified, then recent gaps.

What belongs here: the order, and when it stops. What doesn't: what is due (`to_do.py`), how windows are made true
(`reconcile.py`), Dagster.

Requests with one token take turns, so each token has a thread, which serves its operations. All that arrives is
committed together, whosever it is. What a tick does not get done the next one finds due again.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from wolkvox_assets.api import QuotaUsedUp
from wolkvox_assets.pipeline import due_work, to_do
from wolkvox_assets.pipeline.commit import Batch
from wolkvox_assets.pipeline.fetching import TimeIsUp
from wolkvox_assets.pipeline.loading import Handover, load
from wolkvox_assets.pipeline.pauses import Standing, reason_to_wait, remember_success, standings
from wolkvox_assets.pipeline.quota import ReserveReached
from wolkvox_assets.pipeline.reconcile import Site, Task, reconcile
from wolkvox_assets.report.clocks import Clocks
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import StoreError
from wolkvox_assets.store.attempts import Work
from wolkvox_assets.sync import BadAnswers

# The next tick is for windows that have just closed: it should not have to wait for a request of this one.
_ENDS_BEFORE = timedelta(seconds=15)
# A minute is enough for 700 MB.
_TIDYING_SECONDS = 60.0


class Failed(NamedTuple):
    """What one kind of work failed with, and the windows it was for."""

    work: Work
    error: Exception
    windows: list[datetime]


@dataclass
class Outcome:
    """What became of one operation in a tick.

    `waits`: why nothing was asked. `stopped`: why asking ended early. `succeeded`: the work that was done. `done`:
    nothing comes any more, and all of it is committed.
    """

    waits: str | None = None
    failed: list[Failed] = field(default_factory=list)
    stopped: ReserveReached | QuotaUsedUp | None = None
    succeeded: set[Work] = field(default_factory=set)
    done: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether more may be asked. Windows that cannot be had keep nothing else waiting."""
        return (
            self.waits is None
            and self.stopped is None
            and all(isinstance(failed.error, BadAnswers) for failed in self.failed)
        )


class Tick:
    """One tick for groups of operations, each with one token.

    `delay`: how long after its end a window is first asked. `until` (monotonic seconds): nothing is asked after it.
    """

    def __init__(self, groups: Sequence[Sequence[Site]], delay: timedelta, until: float) -> None:
        self._delay, self._until = delay, until
        self.outcomes: Mapping[str, Outcome] = {
            site.operation.label: Outcome() for group in groups for site in group
        }
        self._clocks = {site.operation.label: Clocks(site.now) for group in groups for site in group}
        first = groups[0][0]
        self._store = first.store
        self._standings: dict[str, Standing] = {}
        self._known: dict[str, to_do.Known] = {}
        self._commits = self._load(groups)
        self._error: Exception | None = None

    def commits(self, operation: str) -> Iterator[dict[str, Batch]]:
        """What each commit stored, of any operation, until all is done for this one (`Operation.label`).

        Raises `StoreError`, again for each operation.
        """
        while not self.outcomes[operation].done:
            if self._error is not None:
                raise self._error
            try:
                stored = next(self._commits)
            except StopIteration:
                return
            except Exception as error:  # the commits are everybody's: each operation's op is to fail with it
                self._error = error
                raise
            yield stored

    def close(self) -> None:
        """Stop; what was fetched is committed. Where all is done, and the next tick is some time off, the store is
        tidied."""
        self._commits.close()
        all_done = all(outcome.done for outcome in self.outcomes.values())
        if all_done and time.monotonic() < self._until - _TIDYING_SECONDS:
            self._store.tidy()

    def _load(self, groups: Sequence[Sequence[Site]]) -> Generator[dict[str, Batch], None, None]:
        first, operations = groups[0][0], [site.operation for group in groups for site in group]
        try:
            # For all operations at once: in a lake a query takes 5 to 10 ms, however little it reads.
            with self._store.reading():
                self._standings = standings(self._store, operations, first.now())
                self._known = to_do.known_of(self._store, operations, first.now())
        except Exception as error:  # noqa: BLE001  # each operation's op is to fail with it
            for outcome in self.outcomes.values():
                outcome.failed.append(Failed(Work.LIVE, error, []))
        yield from load(self._store, first.run_id, [partial(self._serve, group) for group in groups])

    def _serve(self, group: Sequence[Site], handover: Handover) -> None:
        for site in group:
            self._do(site, Work.LIVE, partial(to_do.live_windows, delay=self._delay), handover)
        # Only now: what has just been stored may complete an hour, and ends pauses.
        handover.settle()
        for site in group:
            self._remember_success(site, Work.LIVE)
        for site in group:
            for due in (partial(to_do.to_verify, site.store), to_do.recent_gaps):
                self._do(site, Work.RECENT, due, handover)
            handover.settle()
            self._remember_success(site, Work.RECENT)
            # All of it has been taken over by now. Whoever waits for this operation is woken to see that it is done.
            self.outcomes[site.operation.label].done = True
            handover.settle()

    def _remember_success(self, site: Site, work: Work) -> None:
        outcome = self.outcomes[site.operation.label]
        if work not in outcome.succeeded or any(failed.work is work for failed in outcome.failed):
            return
        if not self._standings[site.operation.label].to_forget:
            return
        try:
            remember_success(site.store, site.operation, work)
            self._standings |= standings(site.store, [site.operation], site.now())
        except StoreError as error:
            outcome.failed.append(Failed(work, error, []))

    def _do(
        self,
        site: Site,
        work: Work,
        due: Callable[[Operation, to_do.Known, datetime], list[datetime]],
        handover: Handover,
    ) -> None:
        outcome, windows = self.outcomes[site.operation.label], list[datetime]()
        clocks = self._clocks[site.operation.label]
        if not outcome.goes_on:
            return
        known = self._known[site.operation.label]
        try:
            standing = self._standings[site.operation.label]
            outcome.waits = reason_to_wait(standing, site.operation, work, clocks.now(), site.live)
            if outcome.waits is not None:
                return
            due_now = due(site.operation, known, clocks.now())
            windows = due_work.ended(site.operation, due_now, clocks.now())
            if windows:
                # Later, those who share the quota may have used much more of it.
                seen = standing.quota if work is Work.LIVE else None
                reconcile(site, Task(windows, work, clocks, until=self._until, quota=seen), handover)
        except TimeIsUp:
            return
        except (ReserveReached, QuotaUsedUp) as stop:
            outcome.stopped = stop
        except Exception as error:  # noqa: BLE001  # one operation's: it keeps nothing from the others
            outcome.failed.append(Failed(work, error, windows))
            if isinstance(error, BadAnswers) and not error.given_up:
                known.now_has(set(windows) - error.errors.keys(), clocks.now())
        else:
            outcome.succeeded |= {work} if windows else set()
            known.now_has(windows, clocks.now())


def seconds_left(now: datetime, delay: timedelta) -> float:
    """How long a tick that begins at `now` (aware) may go on: the next one is due then."""
    return (due_work.next_live(now.astimezone(UTC), delay) - now - _ENDS_BEFORE).total_seconds()
