"""Keys that are kept are those that Dagster makes, whatever the time, also where clocks change."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from wolkvox_assets.orchestration.instance import partition_keys

FIVE = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_keys, "_kept", {})
    monkeypatch.setattr(partition_keys, "_LONG", 10)
    monkeypatch.setattr(dg.TimeWindowPartitionsDefinition, "get_partition_keys", partition_keys._of_dagster)


def windows(
    start: str = "2026-10-29T00:00", zone: str = "America/New_York"
) -> dg.TimeWindowPartitionsDefinition:
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule="*/5 * * * *", start=start, timezone=zone, fmt="%Y-%m-%dT%H:%M"
    )


@pytest.mark.parametrize("zone", ["America/New_York", "America/Bogota", "Pacific/Chatham"])
def test_at_each_moment_they_are_dagsters_own(zone: str) -> None:
    """Also across the hour that is passed twice, on 1 November in New York, and after a clock was set back."""
    moments = [datetime(2026, 11, 1, 3, 2, tzinfo=UTC) + n * timedelta(minutes=47) for n in range(12)]
    definition = windows(zone=zone)
    for now in [*moments, moments[2], moments[-1], moments[-1] + FIVE]:
        theirs = partition_keys._of_dagster(definition, now)
        for _ in range(2):
            assert partition_keys._partition_keys(definition, now) == theirs
    before = datetime(2026, 10, 1, tzinfo=UTC)
    assert partition_keys._partition_keys(definition, before) == []


def test_what_is_kept_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    first = partition_keys._partition_keys(windows(), now)
    monkeypatch.setattr(partition_keys, "_of_dagster", None)
    later = partition_keys._partition_keys(windows(), now + FIVE)
    assert later[:-1] == first
    later.clear()  # type: ignore[attr-defined]  # whoever gets them may do as they like
    assert len(partition_keys._partition_keys(windows(), now + FIVE)) == len(first) + 1


def test_few_are_kept() -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    for day in range(1, 20):
        partition_keys._partition_keys(windows(f"2026-10-{day:02}T00:00"), now)
    assert len(partition_keys._kept) == partition_keys._KEPT
