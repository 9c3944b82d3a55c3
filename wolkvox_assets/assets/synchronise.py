"""Making windows true within a run: what is asked is committed, marked as materialised, and told.

What belongs here: the steps of a run over windows, in Dagster's terms. What doesn't: what to ask
(`sync/`), fetching and committing (`loading.py`), the words about how far it is (`progress.py`).
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from functools import partial

import dagster as dg

from wolkvox_assets import duties
from wolkvox_assets.api import QuotaUsedUp, RetryPolicy
from wolkvox_assets.assets.daily import mark_days
from wolkvox_assets.assets.failures import failures_explained
from wolkvox_assets.assets.partitions import keys_of_window, window_partitions, windows_key
from wolkvox_assets.assets.plain_text import visible
from wolkvox_assets.assets.progress import Progress
from wolkvox_assets.assets.run_tags import BACKFILL
from wolkvox_assets.clocks import Clocks
from wolkvox_assets.commit import Batch
from wolkvox_assets.loading import load
from wolkvox_assets.plan import WindowsPlan, read_judge
from wolkvox_assets.quota import LOOK_EVERY, ReserveReached, quota_waits
from wolkvox_assets.resources import StoreResource, WolkvoxResource, wolkvox_key
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.additivity import latest_verdict
from wolkvox_assets.store.agent_9 import Correction
from wolkvox_assets.store.daily import known_without_a_row
from wolkvox_assets.sync import Trust

Context = dg.AssetExecutionContext | dg.OpExecutionContext


def make_windows_true(
    context: Context,
    operation: Operation,
    windows: Iterable[datetime],
    *,
    direct: bool = False,
    between: Callable[[], object] | None = None,
    live: int = 0,
    retry: RetryPolicy | None = None,
    give_up_after: int = 150,
    nested: bool = False,
    clocks: Clocks | None = None,
) -> list[Correction]:
    """Make these windows (wall clock) equal to the API's answers, and mark each, and the totals of its day, as it
    is committed.

    `direct`: each window by a request of its own. `between`: called before the first request and now and then
    between two, to do what is more urgent. `live`: how many operations' live windows come first, where the day's quota
    gets scarce. `retry`: how patient the client is, if not as usual. `give_up_after`: so many windows that can't be
    read, and nothing that can. `nested`: within another run's, whose tags are not to speak of this.

    `clocks`: what was heard of the server's a moment ago, if anything.

    Returns what changed of windows that were known before. Ends by itself, without an error, where the day's
    quota is used up. Raises `dg.Failure`; what was fetched before is stored, marked, and in the totals.
    """
    clocks = clocks or Clocks()
    now = clocks.now()
    wanted = set(windows)
    ended = duties.ended(operation, wanted, now)
    if len(ended) < len(wanted):
        last = max(wanted)
        context.log.warning(
            f"{len(wanted) - len(ended)} windows up to {last:%Y-%m-%d %H:%M} are not over yet (clocks go back, and "
            "the hour comes again): not asked, not marked. Repeat after "
            f"{operation.clock.end_utc(last):%Y-%m-%d %H:%M} UTC."
        )
    if not ended:
        return []
    if between is not None:
        between()
    wolkvox: WolkvoxResource = getattr(context.resources, wolkvox_key(operation))
    files: StoreResource = context.resources.store
    progress = Progress(context.log, operation, len(ended))
    marks = _Marks(context, operation)
    gate = threading.Event()
    gate.set()
    with failures_explained(context, operation.name, tag=not nested):
        plan = WindowsPlan(
            operation,
            files.store,
            trust=_trust(context, operation, files.store, now),
            judge=read_judge(operation, files.store),
            seed=int(context.run.run_id[:8], 16),
            direct=direct,
            give_up_after=give_up_after,
        )
        loading = load(
            operation,
            partial(plan.reconcile, ended, now),
            clocks=clocks,
            judge=plan.judge,
            windows=len(ended),
            live=live,
            gate=gate,
            open_client=partial(wolkvox.open_client, retry=retry),
            store=files.store,
            run_id=context.run.run_id,
        )
        try:
            with closing(loading) as batches:
                for batch in batches:
                    marks.set(batch)
                    mark_days(context, operation, batch.days)
                    progress.tell(batch)
                    if between is not None:
                        gate.clear()  # no new question of ours while something more urgent is done
                        between()
                        gate.set()
        except (ReserveReached, QuotaUsedUp) as stop:
            progress.stopped(stop, _goes_on_at(stop, files.store, operation, clocks.here()))
        if without := _known_without_a_row(files.store, operation):
            context.log.warning(progress.nothing_ever(without))
    context.log_event(dg.AssetObservation(asset_key=windows_key(operation), metadata=progress.summary()))
    return progress.corrections


def _goes_on_at(
    stop: ReserveReached | QuotaUsedUp, store: Store, operation: Operation, now: datetime
) -> datetime:
    if isinstance(stop, ReserveReached):
        return stop.until
    return quota_waits(store, operation, now) or now + LOOK_EVERY


def _known_without_a_row(store: Store, operation: Operation) -> int:
    with store.reading() as con:
        return known_without_a_row(con, operation.name) if con else 0


def _trust(context: Context, operation: Operation, store: Store, now: datetime) -> Trust:
    """What the stored verdict on additivity is worth today; a bad one is told."""
    with store.reading() as con:
        verdict = latest_verdict(con, operation.name) if con else None
    trust = duties.trust_in((verdict.proved_at, verdict.holds) if verdict else None, now)
    if verdict is not None and trust is Trust.FAILED:
        context.log.warning(
            f"The API's answers did not add up on {verdict.proved_at:%Y-%m-%d %H:%M} UTC, so every window is asked "
            f"by itself; tried again {duties.FAILED_FOR.days} days after that. {visible(verdict.evidence)}"
        )
    return trust


class _Marks:
    """Marks partitions as materialised."""

    def __init__(self, context: Context, operation: Operation) -> None:
        self._context = context
        self._operation = operation
        self._asset = windows_key(operation)
        self._partitions = window_partitions(operation)
        self._marked_before: set[str] | None = None

    def set(self, batch: Batch) -> None:
        for window in batch.windows:
            for partition in keys_of_window(self._partitions, self._operation, window.window_start):
                self._mark(partition, {"agents": len(window.agents), "source": window.source})
        for checked in batch.verified:
            for window_start in checked.stretch.windows():
                for partition in keys_of_window(self._partitions, self._operation, window_start):
                    if self._needs_a_mark(partition):
                        self._mark(partition, {"verified": True})
        for window_start in batch.superseded:
            for partition in keys_of_window(self._partitions, self._operation, window_start):
                if self._needs_a_mark(partition):
                    self._mark(partition, {"stored_by_another_run": True})

    def _mark(self, partition: str, metadata: dict[str, int | str | bool]) -> None:
        self._context.log_event(
            dg.AssetMaterialization(asset_key=self._asset, partition=partition, metadata=metadata)
        )

    def _needs_a_mark(self, partition: str) -> bool:
        # A mark costs 16 ms and 7 KB, and nothing changed. But a backfill takes a partition that its run
        # did not mark for failed.
        if BACKFILL in self._context.run.tags:
            return True
        if self._marked_before is None:
            self._marked_before = self._context.instance.get_materialized_partitions(self._asset)
        return partition not in self._marked_before
