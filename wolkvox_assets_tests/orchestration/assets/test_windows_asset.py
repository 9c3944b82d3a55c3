"""`agent_9_windows` and the daily totals in this process, against a real simulator and real files."""

from datetime import date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.orchestration.partitions import window_partitions
from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.measures import Usage
from wolkvox_assets.report.reports import AGENT_9
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets_tests.project import Project, instance_in

WINDOWS = dg.AssetKey(["main", "agent_9_windows"])


@pytest.mark.parametrize(
    ("zone", "day", "windows", "partitions"),
    [
        ("America/Santiago", date(2026, 4, 4), 288, 300),  # 23:00 is passed twice
        ("America/Santiago", date(2026, 9, 6), 276, 276),  # begins at 01:00
        ("America/Bogota", date(2026, 4, 4), 288, 288),
    ],
)
def test_days_when_clocks_change(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    instance: dg.DagsterInstance,
    zone: str,
    day: date,
    windows: int,
    partitions: int,
) -> None:
    centre = Centre(8, profile="around_the_clock", timezone=zone)
    with Simulator(centre) as simulator:
        project = Project(tmp_path, simulator, day, timezone=zone)
        midnight = datetime.combine(day, datetime.min.time())
        definition = project_partitions(project, monkeypatch)
        keys = [
            key
            for key in definition.get_partition_keys(current_time=midnight + timedelta(days=2))
            if definition.time_window_for_partition_key(key).start.date() == day
        ]
        assert len(keys) == partitions
        result = project.materialize(
            "agent_9_windows",
            monkeypatch,
            partition_range=(keys[0], keys[-1]),
            instance=instance,
            run_config={"ops": {"main__agent_9_windows": {"config": {"direct": True}}}},
        )
        assert result.success
        # No window twice, none missing, each asked once.
        assert simulator.counters.by_api["agent_9"] == windows
        assert project.known() == project.windows_of(day)
        assert len(project.known()) == windows
        assert project.rows() == project.true_rows(project.windows_of(day))
        assert instance.get_materialized_partitions(WINDOWS) == set(keys)

        result = project.materialize(
            "operation_hold_mute_daily", monkeypatch, partition=f"{day}", instance=instance
        )
        assert result.success
        result = project.materialize(
            "agent_hold_mute_daily", monkeypatch, partition=f"{day}", instance=instance
        )
        assert result.success
        truth = project.true_usage(midnight, midnight + timedelta(days=1))
        assert project.query(
            "SELECT agents, hold_mute_count, total_seconds, windows_known, windows_expected, complete"
            " FROM operation_hold_mute_daily"
        ) == [
            (
                len(truth),
                sum(usage.hold_mute_count for usage in truth.values()),
                sum(usage.total_seconds for usage in truth.values()),
                windows,
                windows,
                True,
            )
        ]
        assert project.query(
            "SELECT agent_name, hold_mute_count, hold_seconds, mute_seconds, total_seconds"
            " FROM agent_hold_mute_daily ORDER BY agent_name"
        ) == [(agent, *usage) for agent, usage in sorted(truth.items())]


def project_partitions(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> dg.TimeWindowPartitionsDefinition:
    for name, value in project.settings.items():
        monkeypatch.setenv(name, value)
    return window_partitions(load_settings().operations[0])


def test_a_mark_of_a_window_that_was_only_verified_says_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an instance that knows nothing of the store, as after its folder was lost."""
    with Simulator(Centre(8)) as simulator:
        project = Project(tmp_path, simulator, date(2026, 11, 18))
        for name in ("home", "another"):
            with instance_in(tmp_path / name) as instance:
                hour = ("2026-11-18T10:00", "2026-11-18T10:55")
                project.materialize("agent_9_windows", monkeypatch, partition_range=hour, instance=instance)
                mark = instance.get_latest_materialization_event(WINDOWS)
    assert mark is not None
    assert mark.asset_materialization is not None
    told = mark.asset_materialization.metadata["verified_at"].value
    [(verified_at,)] = project.query("SELECT DISTINCT epoch(verified_at) FROM agent_9_window_log")
    assert told == pytest.approx(verified_at)


class WholeDays(Centre):
    """Answers for the whole day, whatever the time of day."""

    def truth(
        self, start: datetime, end: datetime, *, now: datetime | None = None, report: Report = AGENT_9
    ) -> dict[str, Usage]:
        midnight = datetime.combine(start.date(), time())
        return super().truth(midnight, midnight + timedelta(days=1, seconds=-1), now=now, report=report)


def test_of_a_server_that_ignores_the_times_nothing_is_stored_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(WholeDays(8)) as simulator:
        project = Project(tmp_path, simulator, date(2026, 11, 18))
        day = ("2026-11-18T00:00", "2026-11-18T23:55")
        assert not project.materialize("agent_9_windows", monkeypatch, partition_range=day).success
        assert project.known() == []
        assert simulator.counters.by_api["agent_9"] == 13
    [(scope, message)] = project.query("SELECT scope, message FROM failed_attempts")
    assert scope == "operation"
    assert "The server seems to ignore the times it is asked for: 12 windows from 2026-11-18 23:00:00" in str(
        message
    )
