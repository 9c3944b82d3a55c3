"""The keys of a long row of partitions, kept: Dagster makes them anew for each page of its UI.

What belongs here: that. What doesn't: which partitions there are (`orchestration/partitions.py`).

A year of five minutes has 105,000 keys, which take 1.5 s of CPU. The overview of an asset asks for them once, the page
of its partitions twice. Here only what has come since is added.
"""

from collections.abc import Sequence
from datetime import datetime
from threading import RLock
from typing import NamedTuple

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context

# Fewer are quick; 105,000 take 8 MB, and a process has to do with few operations at a time.
_LONG = 10_000
_KEPT = 4


class _Kept(NamedTuple):
    """`end`: of the last partition (aware)."""

    keys: list[str]
    end: datetime


_kept: dict[str, _Kept] = {}
_at_work = RLock()  # a page asks twice at one time
_of_dagster = dg.TimeWindowPartitionsDefinition.get_partition_keys


def _partition_keys(
    self: dg.TimeWindowPartitionsDefinition,
    current_time: datetime | None = None,
    dynamic_partitions_store: object = None,
) -> Sequence[str]:
    definition = repr(self)
    with _at_work, partition_loading_context(current_time, dynamic_partitions_store):  # type: ignore[arg-type]  # Dagster's
        kept = _kept.get(definition)
        last = self.get_last_partition_window()
        if last is None:
            return []
        if kept is None or last.end < kept.end:  # a clock was set back, or somebody asks for another time
            keys = list(_of_dagster(self))
        elif last.end == kept.end:
            keys = kept.keys
        else:
            keys = [*kept.keys, *self.get_partition_keys_in_time_window(dg.TimeWindow(kept.end, last.end))]
        if len(keys) >= _LONG and (kept is None or last.end > kept.end):
            while len(_kept) >= _KEPT and definition not in _kept:
                _kept.pop(next(iter(_kept)), None)
            _kept[definition] = _Kept(keys, last.end)
    return list(keys)


def keep_keys() -> None:
    """From now on, in this process."""
    dg.TimeWindowPartitionsDefinition.get_partition_keys = _partition_keys  # type: ignore[method-assign]  # the same
