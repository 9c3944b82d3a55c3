"""A long row of partitions, told quickly: Dagster looks at each of them by itself, and anew for each page of its UI.

What belongs here: that. What doesn't: which partitions there are (`orchestration/partitions.py`).

A year of five minutes has 105,000 partitions. Dagster makes their keys in 2 s of CPU, for each page once or twice; and
it takes 14 s to put marks in a row which nobody has looked at before: those of a year that was loaded meanwhile, or
all of them once `WOLKVOX_START` is another day. A page asks for that twice at one time: half a minute and more.

But here each partition is as long as the next. So where one stands in the row says when it is, and the other way round.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from threading import Lock
from typing import NamedTuple

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.subset import PartitionsSubset, TimeWindowPartitionsSubset
from dagster._time import dst_safe_strftime, get_timezone
from dagster._utils.cronstring import get_fixed_minute_interval

# Of fewer, or in a shorter row, Dagster's own way is quick.
_MANY = 100
_LONG = 10_000
_at_work = Lock()
_keys_of_dagster = dg.TimeWindowPartitionsDefinition.get_partition_keys
_valid_of_dagster = dg.TimeWindowPartitionsDefinition.filter_valid_partition_keys
_with_of_dagster = TimeWindowPartitionsSubset.with_partition_keys


class _Row(NamedTuple):
    """`start`: of the first, in seconds of Unix; each is `seconds` long."""

    keys: Sequence[str]
    start: int
    seconds: int


def _row(definition: dg.TimeWindowPartitionsDefinition) -> _Row | None:
    """All partitions that there are by now. None if they are few, or not of one length."""
    minutes = get_fixed_minute_interval(definition.cron_schedule)
    # Clocks are put forward and back by quarters of an hour, where not by hours.
    if not minutes or 15 % minutes or definition.exclusions:
        return None
    first, last = definition.get_first_partition_window(), definition.get_last_partition_window()
    if first is None or last is None:
        return None
    start, end, seconds = int(first.start.timestamp()), int(last.end.timestamp()), minutes * 60
    if (end - start) // seconds < _LONG:
        return None
    with _at_work:  # a page asks twice at one time
        keys = _keys(
            range(start, end, seconds), definition.timezone, definition.fmt, definition.cron_schedule
        )
    return _Row(keys, start, seconds)


@lru_cache(maxsize=4)  # 8 MB each, and a process has to do with few operations at a time
def _keys(starts: range, timezone: str, fmt: str, cron_schedule: str) -> Sequence[str]:
    zone = get_timezone(timezone)
    return [
        # What an hour that is passed twice needs takes as long again.
        dst_safe_strftime(start, timezone, fmt, cron_schedule) if start.fold else start.strftime(fmt)
        for start in (datetime.fromtimestamp(at, zone) for at in starts)
    ]


def _partition_keys(
    self: dg.TimeWindowPartitionsDefinition,
    current_time: datetime | None = None,
    dynamic_partitions_store: object = None,
) -> Sequence[str]:
    with partition_loading_context(current_time, dynamic_partitions_store):  # type: ignore[arg-type]  # Dagster's
        row = _row(self)
        return _keys_of_dagster(self) if row is None else list(row.keys)


def _valid(self: dg.TimeWindowPartitionsDefinition, partition_keys: set[str]) -> AbstractSet[str]:
    row = _row(self) if len(partition_keys) >= _MANY else None
    return _valid_of_dagster(self, partition_keys) if row is None else partition_keys.intersection(row.keys)


def _with_partition_keys(
    self: TimeWindowPartitionsSubset, partition_keys: Iterable[str], validate: bool = True
) -> PartitionsSubset[str]:
    keys = set(partition_keys)
    row = _row(self.partitions_def) if validate and len(keys) >= _MANY else None
    if row is None:
        return _with_of_dagster(self, keys, validate)
    zone = get_timezone(self.partitions_def.timezone)
    added, start = [], row.start
    for wanted, those in groupby(row.keys, keys.__contains__):
        end = start + row.seconds * sum(1 for _ in those)
        if wanted:
            added.append(
                dg.TimeWindow(datetime.fromtimestamp(start, zone), datetime.fromtimestamp(end, zone))
            )
        start = end
    return self | TimeWindowPartitionsSubset(self.partitions_def, None, added)


def tell_quickly() -> None:
    """From now on, in this process."""
    dg.TimeWindowPartitionsDefinition.get_partition_keys = _partition_keys  # type: ignore[method-assign]  # the same
    dg.TimeWindowPartitionsDefinition.filter_valid_partition_keys = _valid  # type: ignore[assignment,method-assign]
    TimeWindowPartitionsSubset.with_partition_keys = _with_partition_keys  # type: ignore[assignment,method-assign]
