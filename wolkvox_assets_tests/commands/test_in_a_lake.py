"""An operation in a lake as a person sees it: materialized through Dagster, `status`, `doctor`, SQL of one's own."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster_duckdb import DuckDBResource

from wolkvox_assets.commands.cli import main
from wolkvox_assets.orchestration.resources import build_resources
from wolkvox_assets.report.windows import WallClock
from wolkvox_assets.settings import load_settings
from wolkvox_assets.simulator import Centre, Simulator
from wolkvox_assets.store.lake.store import LakeStore
from wolkvox_assets_tests.project import Project

TODAY = WallClock("America/Bogota").now(datetime.now(UTC)).date()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(list(arguments))
    return capsys.readouterr().out


@pytest.mark.long
def test_a_day_from_dagster_to_sql(
    lake_store: LakeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    day = TODAY - timedelta(days=2)
    with Simulator(Centre(12)) as simulator:
        project = Project(tmp_path, simulator, day)
        # A password that this Postgres never asks for.
        address = f"{lake_store.lake.postgres.get_secret_value()} password=se_kret"
        lake = {"WOLKVOX_STORE": f"ducklake:postgres:{address}", "WOLKVOX_STORE_DATA": lake_store.lake.data}
        for name, value in (project.settings | lake).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        hour = (f"{day}T08:00", f"{day}T08:55")
        assert project.materialize("agent_9_windows", monkeypatch, partition_range=hour).success
        assert not (tmp_path / "data" / "store.duckdb").exists()

        status = json.loads(said(capsys, "status", "--json"))
        assert status["operations"][0]["stored"]["known"] == 12
        assert status["lake"]["snapshots"] > 1
        told = said(capsys, "status") + said(capsys, "doctor")
        assert "ok     lake" in told
        assert "WRONG  lake" not in told
        assert "published file" not in told
        assert "se_kret" not in told + json.dumps(status)

    resources = build_resources(load_settings())

    @dg.asset
    def somebodys_own(duckdb: DuckDBResource) -> int:
        with duckdb.get_connection() as con:
            ((known,),) = con.execute("SELECT COUNT(*) FROM agent_9_window_log").fetchall()
            return int(known)

    result = dg.materialize([somebodys_own], resources={"duckdb": resources["duckdb"]})
    assert result.output_for_node("somebodys_own") == 12
    assert "se_kret" not in repr(resources)
