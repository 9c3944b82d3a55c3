"""The bundled example of somebody else's code location works on a published file."""

import importlib.util
from types import ModuleType

import dagster as dg
import pytest

from wolkvox_assets.store.files import FileStore
from wolkvox_assets_tests.examples.test_sql_tools import store_some
from wolkvox_assets_tests.project import ROOT
from wolkvox_assets_tests.store.tables import window


@pytest.fixture
def example(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("WOLKVOX_DUCKDB", str(store.published))
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples/dagster/definitions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_asset_on_the_published_file(store: FileStore, example: ModuleType) -> None:
    store_some(store, 7)
    defs: dg.Definitions = example.defs
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(
            instance=instance, partition_key=f"{window(0):%Y-%m-%d}", resources=defs.resources
        )
        assert done.success
        (made,) = done.asset_materializations_for_node("agents_to_coach")
    agents = made.metadata["agents"]
    assert isinstance(agents, dg.TableMetadataValue)
    (record,) = agents.records
    assert record.data == {"agent": "Ana Núñez", "hold_seconds": 140}


def test_it_is_in_one_graph_with_what_it_depends_on(example: ModuleType) -> None:
    graph = example.defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get(dg.AssetKey("agents_to_coach")).parent_keys} == {
        "wolkvox_duckdb",
        "main/agent_hold_mute_daily",
    }
