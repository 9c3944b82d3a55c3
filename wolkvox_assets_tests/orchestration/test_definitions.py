"""The code location as Dagster loads it."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.settings import Operation, Settings, load_settings


def test_without_an_operation_it_loads_and_says_what_to_set() -> None:
    definitions = build_definitions(CodeLocation(load_settings()))
    (spec,) = definitions.resolve_all_asset_specs()
    assert spec.key == dg.AssetKey("invalid_settings")
    assert "WOLKVOX_SERVER" in str(spec.description)


def test_the_command_line_says_which_setting_keeps_an_asset_out(tmp_path: Path) -> None:
    """Dagster itself says only that it knows no asset of that name."""
    command = ["asset", "materialize", "--select", "main/agent_9_windows", "--partition", "2026-11-10T06:00"]
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *command, "-m", "wolkvox_assets.definitions"],
        env={**os.environ, "WOLKVOX_SERVER": "0013", "WOLKVOX_TOKEN": "x", "WOLKVOX_START": "2026-13-01"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "invalid settings: WOLKVOX_START: must be a day such as 2026-11-01" in done.stdout + done.stderr


def test_names_of_assets_jobs_schedules_and_sensors_are_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other people's scripts rest on them."""
    monkeypatch.setenv("WOLKVOX_TOKEN", "x")
    operation = Operation(server="0013", start=date(2026, 11, 1), base_url="http://127.0.0.1:9")
    definitions = build_definitions(CodeLocation(Settings((operation,), (), Path("data"))))
    assert sorted(key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()) == [
        "main/agent_9_windows",
        "main/agent_hold_mute_daily",
        "main/operation_hold_mute_daily",
        "main/wolkvox_agent_9",
        "wolkvox_duckdb",
    ]
    repository = definitions.get_repository_def()
    assert sorted(s.name for s in repository.schedule_defs) == [
        "live_schedule",
        "prune_run_history_schedule",
    ]
    assert sorted(s.name for s in repository.sensor_defs) == ["alerts", "main_gaps"]
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    assert jobs == {"live", "prune_run_history"}


def test_each_asset_has_a_table_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster shows assets with one table name as linked to each other."""
    monkeypatch.setenv("WOLKVOX_TOKEN", "x")
    operations = tuple(Operation(name=n, server="0013", start=date(2026, 11, 1)) for n in ("north", "south"))
    specs = build_definitions(CodeLocation(Settings(operations, (), Path("data")))).resolve_all_asset_specs()
    names = [spec.metadata["dagster/table_name"] for spec in specs if spec.metadata.get("dagster/table_name")]
    assert len(set(names)) == 6
    assert "data/wolkvox.duckdb.main.agent_9_windows/operation=north" in names


def test_invalid_settings_are_told_by_the_alerts_also_without_an_operation() -> None:
    definitions = build_definitions(CodeLocation(Settings((), ("WOLKVOX_START: is not set",), Path("data"))))
    alerts = definitions.resolve_sensor_def("alerts")
    with dg.DagsterInstance.ephemeral() as instance:
        cursor, told = None, []
        for _ in range(2):
            context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=definitions)
            reason = alerts.evaluate_tick(context)
            assert "settings: WOLKVOX_START: is not set" in str(reason.skip_message)
            cursor = reason.cursor
            told.append(cursor)
    assert told[0] is not None
    assert "is not set" in told[0]
