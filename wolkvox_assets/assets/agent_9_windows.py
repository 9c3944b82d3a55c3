"""`agent_9_windows`: the asset of five-minute windows, and the run that makes a range of it true.

What belongs here: which windows a run is for, marking each as materialised once it is committed, and
what a verdict on additivity is worth. What doesn't: what to ask (`sync/`), fetching and committing
(`loading.py`), the words about how far it is (`progress.py`).

A range of partitions is one run (`BackfillPolicy.single_run()`). It marks partitions one by one, as they
are committed, and has no output: an output would mark the whole range at the end, and a run that dies
half-way would leave nothing marked.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets.api import QuotaUsedUp
from wolkvox_assets.assets.failures import failures_explained
from wolkvox_assets.assets.partitions import window_partitions
from wolkvox_assets.assets.progress import Progress
from wolkvox_assets.assets.tables import AGENT_9_WINDOWS
from wolkvox_assets.loading import Batch, load
from wolkvox_assets.quota import ReserveReached
from wolkvox_assets.resources import StoreResource, WolkvoxResource, wolkvox_key
from wolkvox_assets.settings import Operation
from wolkvox_assets.store import Store
from wolkvox_assets.store.agent_9 import Correction
from wolkvox_assets.store.stored import StoredWindows
from wolkvox_assets.store.verdicts import latest_verdict
from wolkvox_assets.sync import Trust, make_true
from wolkvox_assets.windows import WINDOW, contiguous

SETTLED_AFTER = timedelta(hours=1)
"""After this an answer is taken to change no more, or only as a late record that verification finds [?]."""

# How long a verdict on additivity is good for.
_PROVED_FOR = timedelta(days=30)
_FAILED_FOR = timedelta(days=7)

_DESCRIPTION = """\
How often and how long each agent had customers on hold or muted, for each five minutes.

**Grain**: one row in `agent_9_windows` for an operation, a window and an agent who used hold or mute; one
row in `agent_9_window_log` for each known window, with rows or without. A window without rows in the first
and with one in the second is a window in which nobody used hold or mute; without both it is not known yet.

**Backfill**: any range is one run, which commits and marks windows as it goes; stopped or failed, repeat it.
A range that is known already is verified, and repaired where it differs, with one request a month if nothing does.

**Time**: `window_start` is the operation's wall clock ({timezone}).
"""


class WindowsConfig(dg.Config):
    """`direct`: ask every window by a request of its own, also where asking for longer ranges would do."""

    direct: bool = False


def build_agent_9_windows(operation: Operation, *, pool: str) -> dg.AssetsDefinition:
    """The asset `<operation>/agent_9_windows`. `pool`: the queue of everything that uses the same token."""

    @dg.asset(
        key=windows_key(operation),
        partitions_def=window_partitions(operation),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=pool,
        output_required=False,
        required_resource_keys={wolkvox_key(operation), "store"},
        group_name=operation.name,
        kinds={"duckdb", "wolkvox"},
        code_version="2",
        description=_DESCRIPTION.format(timezone=operation.timezone),
        metadata={"dagster/table_name": "agent_9_windows", "dagster/column_schema": AGENT_9_WINDOWS},
    )
    def agent_9_windows(
        context: dg.AssetExecutionContext, config: WindowsConfig
    ) -> Iterator[dg.Output[None]]:
        span = context.partition_time_window
        # Dagster's five-minute partitions have neither gaps nor overlaps in real time: key and pass go in step.
        keys = keys_by_window(operation, span.start, span.end, context.partition_keys)
        make_windows_true(context, operation, keys, direct=config.direct)
        yield from ()

    return agent_9_windows


def windows_key(operation: Operation) -> dg.AssetKey:
    """The key of the operation's windows."""
    return dg.AssetKey([operation.name, "agent_9_windows"])


def keys_by_window(
    operation: Operation, start: datetime, end: datetime, keys: Sequence[str]
) -> dict[datetime, list[str]]:
    """The partition keys of the time from `start` to `end` (aware) by window: two for a window of the hour
    that is passed twice."""
    found: dict[datetime, list[str]] = {}
    for window, partition in zip(operation.clock.passes(start, end), keys, strict=True):
        found.setdefault(window, []).append(partition)
    return found


def make_windows_true(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    operation: Operation,
    keys: Mapping[datetime, Sequence[str]],
    *,
    direct: bool = False,
) -> list[Correction]:
    """Make these windows equal to the API's answers, and mark each as it is committed.

    `keys`: the partitions of each window. `direct`: each window by a request of its own. Returns what changed
    of windows that were known before. Ends by itself, without an error, where the day's quota is used up.
    Raises `dg.Failure`.
    """
    wolkvox: WolkvoxResource = getattr(context.resources, wolkvox_key(operation))
    files: StoreResource = context.resources.store
    now = datetime.now(UTC)
    ended = _ended(context, operation, list(keys), now)
    if not ended:
        return []
    progress = Progress(context, operation, len(ended))
    marks = _Marks(context, operation, keys)
    with failures_explained(operation.name):
        trust = _trust(context, operation, files.store, now)
        seed = int(context.run.run_id[:8], 16)
        settled = [window for window in ended if operation.clock.end_utc(window) <= now - SETTLED_AFTER]
        plan = load(
            operation,
            lambda ask: make_true(
                contiguous(ended),
                ask=ask,
                stored=StoredWindows(files.store, operation.name),
                settled_before=settled[-1] + WINDOW if settled else ended[0],
                trust=trust,
                seed=seed,
                direct=direct,
            ),
            windows=len(ended),
            open_client=wolkvox.open_client,
            store=files.store,
            run_id=context.run.run_id,
        )
        with closing(plan) as batches:
            try:
                for batch in batches:
                    marks.set(batch)
                    progress.tell(batch)
            except (ReserveReached, QuotaUsedUp) as stop:
                progress.stopped(stop)
    context.log_event(dg.AssetObservation(asset_key=windows_key(operation), metadata=progress.summary()))
    return progress.corrections


def _ended(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    operation: Operation,
    windows: Sequence[datetime],
    now: datetime,
) -> list[datetime]:
    """Those that are over, in order. A partition exists when its own pass is over, but a window of the
    repeated hour only has its final answer after the second pass."""
    ended = sorted(window for window in windows if operation.clock.end_utc(window) <= now)
    if len(ended) < len(windows):
        last = max(windows)
        context.log.warning(
            f"{len(windows) - len(ended)} windows up to {last:%Y-%m-%d %H:%M} are not over yet (clocks go back, "
            "and the hour comes again): not asked, not marked. Repeat after "
            f"{operation.clock.end_utc(last):%Y-%m-%d %H:%M} UTC."
        )
    return ended


def _trust(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    operation: Operation,
    store: Store,
    now: datetime,
) -> Trust:
    """What the stored verdict on additivity is worth today."""
    with store.reading() as con:
        verdict = latest_verdict(con, operation.name) if con else None
    if verdict is None:
        return Trust.UNPROVED
    age = now - verdict.proved_at
    if verdict.holds:
        return Trust.PROVED if age < _PROVED_FOR else Trust.UNPROVED
    if age >= _FAILED_FOR:
        return Trust.UNPROVED
    context.log.warning(
        f"The API's answers did not add up on {verdict.proved_at:%Y-%m-%d %H:%M} UTC, so every window is asked by "
        f"itself; tried again {_FAILED_FOR.days} days after that. {verdict.evidence}"
    )
    return Trust.FAILED


class _Marks:
    """Marks partitions as materialised."""

    def __init__(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        operation: Operation,
        keys: Mapping[datetime, Sequence[str]],
    ) -> None:
        self._context = context
        self._asset = windows_key(operation)
        self._keys = keys
        self._marked_before: set[str] | None = None

    def set(self, batch: Batch) -> None:
        for window in batch.windows:
            for partition in self._keys[window.window_start]:
                self._mark(partition, {"agents": len(window.agents), "source": window.source})
        for checked in batch.verified:
            for window_start in checked.stretch.windows():
                for partition in self._keys[window_start]:
                    if self._needs_a_mark(partition):
                        self._mark(partition, {"verified": True})

    def _mark(self, partition: str, metadata: dict[str, int | str | bool]) -> None:
        self._context.log_event(
            dg.AssetMaterialization(asset_key=self._asset, partition=partition, metadata=metadata)
        )

    def _needs_a_mark(self, partition: str) -> bool:
        # A mark costs 16 ms and 7 KB, and nothing changed. But a backfill takes a partition that its run
        # did not mark for failed.
        if "dagster/backfill" in self._context.run.tags:
            return True
        if self._marked_before is None:
            self._marked_before = self._context.instance.get_materialized_partitions(self._asset)
        return partition not in self._marked_before
