"""The asset `parquet_export`: there where it is switched on, by the month, or what is out of date."""

from datetime import date, datetime
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.parquet import folder_of
from wolkvox_assets_tests.store.test_parquet import put, rows

KEY = dg.AssetKey(["main", "parquet_export"])


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    monkeypatch.setenv("WOLKVOX_TOKEN", "x")
    operation = Operation(server="0013", start=date(2026, 10, 5))
    return build_definitions(CodeLocation(Settings((operation,), (), tmp_path / "data", parquet=True)))


def test_it_is_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOLKVOX_TOKEN", "x")
    operation = Operation(server="0013", start=date(2026, 10, 5))
    definitions = build_definitions(CodeLocation(Settings((operation,), (), Path("data"))))
    assert not definitions.resolve_asset_graph().has(KEY)
    assert "export_parquet" not in definitions.get_repository_def().job_names


def test_the_schedules_run_writes_what_is_out_of_date(definitions: dg.Definitions, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "data")
    put(store, datetime(2026, 10, 5, 8), datetime(2026, 11, 5, 8))
    job = definitions.resolve_job_def("export_parquet")
    with dg.DagsterInstance.ephemeral() as instance:
        for marks in (2, 0):
            done = job.execute_in_process(instance=instance, resources=definitions.resources)
            assert done.success
            assert len(done.asset_materializations_for_node("main__parquet_export")) == marks
        assert instance.get_materialized_partitions(KEY) == {"2026-10-01", "2026-11-01"}
    assert len(rows(folder_of(store), "agent_9_windows")) == 2


def test_a_person_chooses_a_month(definitions: dg.Definitions, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "data")
    put(store, datetime(2026, 10, 5, 8), datetime(2026, 11, 5, 8))
    job = definitions.resolve_job_def("export_parquet")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            instance=instance, resources=definitions.resources, partition_key="2026-10-01"
        )
        assert done.success
        assert instance.get_materialized_partitions(KEY) == {"2026-10-01"}
    ((operation, start, *_),) = rows(folder_of(store), "agent_9_windows")
    assert (operation, start) == ("main", datetime(2026, 10, 5, 8))


def test_where_it_cannot_be_written_it_is_said_what_to_do(
    definitions: dg.Definitions, tmp_path: Path
) -> None:
    store = FileStore(tmp_path / "data")
    put(store, datetime(2026, 10, 5, 8))
    folder_of(store).write_text("")
    job = definitions.resolve_job_def("export_parquet")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            instance=instance, resources=definitions.resources, raise_on_error=False
        )
    assert not done.success
    (failed,) = done.get_step_failure_events()
    words = f"{failed.step_failure_data.user_failure_data}"
    assert "writing Parquet files" in words
    assert "What was committed before is intact; repeat the run" in words
