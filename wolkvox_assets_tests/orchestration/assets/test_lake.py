"""The asset `wolkvox_lake`: there where there is a lake, and what it shows."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets_tests.store.test_maintenance import put

KEY = dg.AssetKey("wolkvox_lake")


def test_its_job_cleans_up_and_shows_what_there_is(
    lake_store: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOLKVOX_TOKEN", "x")
    monkeypatch.setenv("WOLKVOX_STORE", f"ducklake:postgres:{lake_store.lake.postgres.get_secret_value()}")
    monkeypatch.setenv("WOLKVOX_STORE_DATA", lake_store.lake.data)
    operation = Operation(server="0013", start=date(2026, 10, 5))
    settings = Settings((operation,), (), lake_store.folder, automation=False, lake=lake_store.lake)
    definitions = build_definitions(CodeLocation(settings))
    (schedule,) = (
        one for one in definitions.get_repository_def().schedule_defs if one.name == "maintain_lake_schedule"
    )
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED  # with WOLKVOX_AUTOMATION=off

    put(lake_store, 0, 100)
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("maintain_lake").execute_in_process(
            instance=instance, resources=definitions.resources
        )
    (mark,) = done.asset_materializations_for_node("wolkvox_lake")
    found = {name: value.value for name, value in mark.metadata.items()}
    assert found["rows made files"] == 81
    assert isinstance(found["files"], int)
    assert found["files"] >= 5
    assert found["snapshots"] == 1


def test_without_a_lake_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOLKVOX_TOKEN", "x")
    operation = Operation(server="0013", start=date(2026, 10, 5))
    definitions = build_definitions(CodeLocation(Settings((operation,), (), Path("data"))))
    assert not definitions.resolve_asset_graph().has(KEY)
    assert "maintain_lake" not in definitions.get_repository_def().job_names
