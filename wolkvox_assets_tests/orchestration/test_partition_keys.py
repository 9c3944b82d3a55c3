"""What is told quickly of a long row of partitions is what Dagster says, whatever the time and where clocks change."""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.subset import TimeWindowPartitionsSubset

from wolkvox_assets.orchestration.instance import partition_keys

FIVE = timedelta(minutes=5)
ZONES = ["America/New_York", "America/Bogota", "Pacific/Chatham", "UTC"]


@pytest.fixture(autouse=True)
def all_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """And Dagster's own ways are there to compare with, whoever has taken them away in this process."""
    monkeypatch.setattr(partition_keys, "_LONG", 1)
    monkeypatch.setattr(partition_keys, "_MANY", 1)
    definition, subset = dg.TimeWindowPartitionsDefinition, TimeWindowPartitionsSubset
    monkeypatch.setattr(definition, "get_partition_keys", partition_keys._keys_of_dagster)
    monkeypatch.setattr(definition, "filter_valid_partition_keys", partition_keys._valid_of_dagster)
    monkeypatch.setattr(subset, "with_partition_keys", partition_keys._with_of_dagster)
    partition_keys._keys.cache_clear()


def windows(
    start: str = "2026-10-29T00:00", zone: str = "America/New_York", **others: Any
) -> dg.TimeWindowPartitionsDefinition:
    cut = {"cron_schedule": "*/5 * * * *", "fmt": "%Y-%m-%dT%H:%M"} | others
    return dg.TimeWindowPartitionsDefinition(start=start, timezone=zone, **cut)


def nothing(definition: dg.TimeWindowPartitionsDefinition) -> TimeWindowPartitionsSubset:
    return TimeWindowPartitionsSubset(definition, 0, [])


@pytest.mark.parametrize("zone", ZONES)
def test_at_each_moment_they_are_dagsters_own(zone: str) -> None:
    """Also across the hour that is passed twice, on 1 November in New York, and after a clock was set back."""
    moments = [datetime(2026, 11, 1, 3, 2, tzinfo=UTC) + n * timedelta(minutes=47) for n in range(12)]
    definition = windows(zone=zone)
    for now in [*moments, moments[2], moments[-1], moments[-1] + FIVE]:
        theirs = partition_keys._keys_of_dagster(definition, now)
        assert partition_keys._partition_keys(definition, now) == theirs
    before = datetime(2026, 10, 1, tzinfo=UTC)
    assert partition_keys._partition_keys(definition, before) == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("start", ["2026-10-29T00:00", "2026-03-06T23:45", "2026-04-02T00:02"])
def test_what_is_marked_is_dagsters_own(zone: str, start: str) -> None:
    """Ranges, single ones, what has no partition, and all that beside what was marked before."""
    definition = windows(start, zone)
    chance = random.Random(f"{zone}{start}")
    with partition_loading_context(datetime.fromisoformat(start).astimezone(UTC) + timedelta(days=5)):
        keys = partition_keys._keys_of_dagster(definition)
        marked = nothing(definition)
        for _ in range(6):
            first = chance.randrange(len(keys))
            some = {*keys[first : first + chance.randrange(400)], *chance.sample(keys, 50)}
            no_key = {
                "",
                "2026-10-30",
                f"{keys[5]}:00",
                "2020-01-01T00:00",
                "2030-01-01T00:00",
                "2026-10-30T08:03",
            }
            valid = partition_keys._valid_of_dagster(definition, some | no_key)
            assert partition_keys._valid(definition, some | no_key) == valid == some
            theirs = marked.with_partition_keys(some)
            ours = partition_keys._with_partition_keys(marked, some)
            assert ours == theirs
            assert ours.serialize() == theirs.serialize()
            marked = theirs
        assert partition_keys._with_partition_keys(marked, keys).serialize() == (
            marked.with_partition_keys(keys).serialize()
        )


@pytest.mark.parametrize(
    "others",
    [
        {"cron_schedule": "0 0 * * *", "fmt": "%Y-%m-%d"},  # a day may have 23 hours
        {"cron_schedule": "*/7 * * * *"},  # four minutes at the end of an hour
        {"exclusions": ["0 12 * * *"]},
    ],
)
def test_where_parts_are_not_of_one_length_dagsters_way_is_taken(others: dict[str, Any]) -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    start = "2026-10-29" if "%H" not in others.get("fmt", "%H") else "2026-10-29T00:00"
    definition = windows(start, **others)
    keys = partition_keys._keys_of_dagster(definition, now)
    assert partition_keys._partition_keys(definition, now) == keys
    with partition_loading_context(now):
        assert partition_keys._valid(definition, set(keys)) == set(keys)
        assert partition_keys._with_partition_keys(nothing(definition), keys) == (
            nothing(definition).with_partition_keys(keys)
        )


def test_keys_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    first = partition_keys._partition_keys(windows(), now)
    monkeypatch.setattr(partition_keys, "datetime", None)
    kept = partition_keys._partition_keys(windows(), now)
    assert kept == first
    kept.clear()  # type: ignore[attr-defined]  # whoever gets them may do as they like
    assert partition_keys._partition_keys(windows(), now) == first


def test_a_year_that_nobody_has_looked_at_takes_no_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster alone takes 14 s of CPU, and twice that where a page asks for it twice at one time."""
    monkeypatch.undo()
    partition_keys.tell_quickly()
    partition_keys._keys.cache_clear()
    definition = windows("2025-11-26T00:00")
    began = time.process_time()
    with partition_loading_context(datetime(2026, 11, 26, 12, tzinfo=UTC)):
        keys = definition.get_partition_keys()
        marked = nothing(definition).with_partition_keys(definition.filter_valid_partition_keys({*keys}))
    assert len(marked) == len(keys) > 105_000
    assert time.process_time() - began < 3
