"""The checks in Dagster: each way in which data comes in shows them, a fault and its end."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.checks import CHECKS, NEWEST
from wolkvox_assets_tests.checks.conftest import DAY, FAULTS, NOW, Loaded, loaded_once, take_out
from wolkvox_assets_tests.orchestration.automation.conftest import MINUTE, Location
from wolkvox_assets_tests.project import Project, instance_in

__all__ = ["loaded_once"]

ALL = {f"{check.asset}/{check.name}" for check in CHECKS}
BLOCKING = {f"{check.asset}/{check.name}" for check in CHECKS if check.blocking}
DAILY = {name for name in ALL if "daily" in name}
NEWEST_IS_RECENT = f"{NEWEST.asset}/{NEWEST.name}"
TOMORROW = DAY + timedelta(days=1)
NOTHING: set[str] = set()


@dataclass
class Checked(Location):
    """A code location whose day is loaded, the morning after."""

    loaded: Loaded | None = None

    def put_in(self, *checks: str) -> None:
        with self.project.store.transaction() as con:
            for check in checks or FAULTS:
                con.execute(FAULTS[check][0])

    def take_out(self) -> None:
        assert self.loaded is not None
        with self.project.store.transaction() as con:
            take_out(con, self.loaded.folder)

    def shown(self) -> dict[str, bool]:
        """What Dagster shows of each check: what it last found, where that was of the newest mark."""
        keys = {
            name: dg.AssetCheckKey(dg.AssetKey(["main", name.split("/")[0]]), name.split("/")[1])
            for name in ALL
        }
        records = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys.values()))
        return {
            name: records[key].evaluation.passed  # type: ignore[union-attr]
            for name, key in keys.items()
            if key in records and records[key].status.value != "PLANNED"
        }

    def failed(self) -> set[str]:
        """Of those that are shown; all but the one about the newest window."""
        return {name for name, passed in self.shown().items() if not passed} - {NEWEST_IS_RECENT}

    def run(self, **how: object) -> dg.ExecuteInProcessResult:
        """As the UI and the command line start it: an asset comes with its checks."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=self.instance, raise_on_error=False, **how)  # type: ignore[arg-type]
        assert result.success
        return result


@pytest.fixture
def checked(loaded_once: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checked]:
    shutil.copytree(loaded_once.folder, tmp_path / "data")
    with instance_in(tmp_path / "dagster") as instance:
        project = Project(tmp_path, loaded_once.simulator, DAY)
        location = Checked(project, instance, monkeypatch, NOW + 10 * MINUTE, loaded=loaded_once)
        location.reload()
        yield location


# The ways


def tick(location: Checked) -> None:
    assert location.live().success
    location.now += 5 * MINUTE


def window_range(location: Checked) -> None:
    tags = {
        "dagster/asset_partition_range_start": f"{TOMORROW}T00:00",
        "dagster/asset_partition_range_end": f"{TOMORROW}T00:10",
    }
    location.run(asset_selection=[dg.AssetKey(["main", "agent_9_windows"])], tags=tags)


def daily(location: Checked) -> None:
    for table in ("agent_hold_mute_daily", "operation_hold_mute_daily"):
        location.run(asset_selection=[dg.AssetKey(["main", table])], partition_key=f"{TOMORROW}")


def on_demand(location: Checked) -> None:
    checks = location.definitions.asset_checks or []
    result = dg.materialize(
        [*(location.definitions.assets or []), *checks],  # type: ignore[list-item]
        selection=dg.AssetSelection.all_asset_checks(),
        resources=location.definitions.resources,
        instance=location.instance,
        raise_on_error=False,
    )
    # Dagster has a run fail in which a check failed that blocks.
    assert result.success is not bool(location.failed() & BLOCKING)


@pytest.mark.parametrize(
    ("way", "shown"),
    [(tick, ALL), (window_range, ALL), (daily, DAILY), (on_demand, ALL)],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_each_fault_is_shown_and_so_is_its_end(
    checked: Checked, way: Callable[[Checked], None], shown: set[str]
) -> None:
    requests = checked.project.simulator.counters.requests
    checked.put_in()
    way(checked)
    assert checked.shown().keys() == shown
    assert checked.failed() == FAULTS.keys() & shown
    checked.take_out()
    way(checked)
    assert checked.shown().keys() == shown
    assert checked.failed() == NOTHING
    if way in (daily, on_demand):
        assert checked.project.simulator.counters.requests == requests


def test_what_failed_is_not_green_again_before_it_was_looked_at(checked: Checked) -> None:
    """A run looks at the days it has touched: as long as a check fails, at everything."""
    tick(checked)
    assert checked.failed() == NOTHING
    checked.put_in("agent_9_windows/plausible_numbers")
    tick(checked)
    assert checked.failed() == NOTHING  # it has touched another day
    on_demand(checked)
    seen = {"agent_9_windows/plausible_numbers", *FAULTS["agent_9_windows/plausible_numbers"][1]}
    assert checked.failed() == seen
    tick(checked)
    assert checked.failed() == seen
    checked.take_out()
    tick(checked)
    assert checked.failed() == NOTHING
