"""`agent_9_windows`: the asset of five-minute windows.

What belongs here: which windows a run is for, marking each as materialised once it is committed, and
telling how far the run is. What doesn't: fetching and committing (`loading.py`).

A range of partitions is one run (`BackfillPolicy.single_run()`). It marks partitions one by one, as they
are committed, and has no output: an output would mark the whole range at the end, and a run that dies
half-way would leave nothing marked.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import dagster as dg

from wolkvox_assets.assets.failures import failures_explained
from wolkvox_assets.assets.partitions import window_partitions
from wolkvox_assets.assets.tables import AGENT_9_WINDOWS
from wolkvox_assets.loading import Batch, load
from wolkvox_assets.resources import StoreResource, WolkvoxResource, wolkvox_key
from wolkvox_assets.settings import Operation
from wolkvox_assets.sync import ask_directly
from wolkvox_assets.windows import contiguous

_DESCRIPTION = """\
How often and how long each agent had customers on hold or muted, for each five minutes.

**Grain**: one row in `agent_9_windows` for an operation, a window and an agent who used hold or mute; one
row in `agent_9_window_log` for each known window, with rows or without. A window without rows in the first
and with one in the second is a window in which nobody used hold or mute; without both it is not known yet.

**Backfill**: any range is one run, which commits and marks windows as it goes; stopped or failed, repeat it.

**Time**: `window_start` is the operation's wall clock ({timezone}).
"""


def build_agent_9_windows(operation: Operation, *, pool: str) -> dg.AssetsDefinition:
    """The asset `<operation>/agent_9_windows`. `pool`: the queue of everything that uses the same token."""
    key = dg.AssetKey([operation.name, "agent_9_windows"])

    @dg.asset(
        key=key,
        partitions_def=window_partitions(operation),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=pool,
        output_required=False,
        required_resource_keys={wolkvox_key(operation), "store"},
        group_name=operation.name,
        kinds={"duckdb", "wolkvox"},
        code_version="1",
        description=_DESCRIPTION.format(timezone=operation.timezone),
        metadata={"dagster/table_name": "agent_9_windows", "dagster/column_schema": AGENT_9_WINDOWS},
    )
    def agent_9_windows(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        wolkvox: WolkvoxResource = getattr(context.resources, wolkvox_key(operation))
        files: StoreResource = context.resources.store
        keys = _keys_by_window(context, operation)
        ended, unended = _divide(operation, list(keys))
        if unended:
            context.log.warning(
                f"{len(unended)} windows from {unended[0]:%Y-%m-%d %H:%M} are not over yet (clocks go back, and the "
                f"hour comes again): not asked, not marked. Repeat after "
                f"{operation.clock.end_utc(unended[-1]):%Y-%m-%d %H:%M} UTC."
            )
        progress = _Progress(context, len(ended))
        with (
            failures_explained(operation.name),
            closing(
                load(
                    operation,
                    lambda ask: ask_directly(contiguous(ended), ask),
                    open_client=wolkvox.open_client,
                    store=files.store,
                    run_id=context.run.run_id,
                )
            ) as batches,
        ):
            for batch in batches:
                for window in batch.windows:
                    for partition in keys[window.window_start]:
                        context.log_event(
                            dg.AssetMaterialization(
                                asset_key=key,
                                partition=partition,
                                metadata={
                                    "dagster/partition_row_count": len(window.agents),
                                    "source": window.source,
                                },
                            )
                        )
                progress.tell(batch)
        context.log_event(dg.AssetObservation(asset_key=key, metadata=progress.summary()))
        yield from ()

    return agent_9_windows


def _keys_by_window(context: dg.AssetExecutionContext, operation: Operation) -> dict[datetime, list[str]]:
    """The partition keys of this run by window: two for a window of the hour that is passed twice."""
    span = context.partition_time_window
    passes = operation.clock.passes(span.start, span.end)
    keys: dict[datetime, list[str]] = {}
    # Dagster's five-minute partitions have neither gaps nor overlaps in real time: key and pass go in step.
    for window, partition in zip(passes, context.partition_keys, strict=True):
        keys.setdefault(window, []).append(partition)
    return keys


def _divide(operation: Operation, windows: Sequence[datetime]) -> tuple[list[datetime], list[datetime]]:
    """Those that are over, and those that are not: a partition exists when its own pass is over, but a
    window of the repeated hour only has its final answer after the second pass."""
    now = datetime.now(UTC)
    ended = [window for window in windows if operation.clock.end_utc(window) <= now]
    return ended, [window for window in windows if operation.clock.end_utc(window) > now]


class _Progress:
    """How many windows of how many, how long to go, and what was noted on the way."""

    def __init__(self, context: dg.AssetExecutionContext, windows: int) -> None:
        self._log = context.log
        self._of = windows
        self._done = 0
        self._requests = 0
        self._rows = 0
        self._notes: Counter[str] = Counter()
        self._began = time.monotonic()

    def tell(self, batch: Batch) -> None:
        self._done += len(batch.windows)
        self._requests += len(batch.requests)
        self._rows += sum(len(window.agents) for window in batch.windows)
        for asked, note in batch.notes:
            # An oddity of the server is in every answer: the first of each kind is told, the rest counted.
            if not self._notes[note.kind]:
                self._log.warning(f"{asked}: {note.text}")
            self._notes[note.kind] += 1
        spent = time.monotonic() - self._began
        left = (
            timedelta(seconds=round(spent / self._done * (self._of - self._done)))
            if self._done
            else "unknown"
        )
        self._log.info(
            f"{self._done} of {self._of} windows stored and published, {self._requests} requests, "
            f"{spent:.0f} s; about {left} to go"
        )

    def summary(self) -> dict[str, int | float]:
        return {
            "windows": self._done,
            "requests": self._requests,
            "rows": self._rows,
            "seconds": round(time.monotonic() - self._began, 1),
            **{f"noted: {kind}": count for kind, count in sorted(self._notes.items())},
        }
