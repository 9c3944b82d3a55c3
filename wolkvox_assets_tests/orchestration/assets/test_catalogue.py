"""What the catalogue says of the assets."""

import subprocess
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.assets import catalogue
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store.meanings import columns

DAILY = ("agent_hold_mute_daily", "operation_hold_mute_daily")


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> AssetGraph:
    monkeypatch.setenv("WOLKVOX_TOKEN", "x")
    operations = tuple(
        Operation(
            name=name,
            server="0013",
            start=date(2026, 11, 1),
            owners=["ana@example.com", "team:desk"],
            tags={"domain": "service"},
        )
        for name in ("north", "south")
    )
    return build_definitions(CodeLocation(Settings(operations, (), Path("data")))).resolve_asset_graph()


def test_the_report_comes_first_and_the_published_file_last(graph: AssetGraph) -> None:
    windows = graph.get(dg.AssetKey(["north", "agent_9_windows"]))
    assert windows.parent_keys == {dg.AssetKey(["north", "wolkvox_agent_9"])}
    ours = {
        dg.AssetKey([name, asset]) for name in ("north", "south") for asset in ("agent_9_windows", *DAILY)
    }
    assert graph.get(catalogue.PUBLISHED_FILE).parent_keys == ours
    assert graph.external_asset_keys == graph.get_all_asset_keys() - ours


def test_each_asset_says_whose_it_is_and_where_its_code_is(graph: AssetGraph) -> None:
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.owners == ["ana@example.com", "team:desk"]
        assert node.tags["domain"] == "service"
        assert node.description
        for word in ("**Source**: ", "**Grain**: ", "**Don't** add up ", "**Backfill**: "):
            assert word.lower() in " ".join(node.description.split()).lower()
        (place,) = node.metadata["dagster/code_references"].code_references
        assert "wolkvox_assets/orchestration/assets/" in getattr(place, "file_path", "") + getattr(
            place, "url", ""
        )


@pytest.mark.parametrize("table", DAILY)
def test_columns_of_the_totals_come_from_columns_of_the_windows(graph: AssetGraph, table: str) -> None:
    lineage = graph.get(dg.AssetKey(["south", table])).metadata["dagster/column_lineage"]
    ours = {name for name, _, _ in columns(table)}
    windows = {name for name, _, _ in columns("agent_9_windows")}
    assert (
        {"hold_seconds", "mute_seconds", "hold_mute_count", "total_seconds"}
        <= lineage.deps_by_column.keys()
        <= ours
    )
    for sources in lineage.deps_by_column.values():
        assert {source.column_name for source in sources} <= windows
        assert {source.asset_key for source in sources} == {dg.AssetKey(["south", "agent_9_windows"])}


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:acme/wolkvox.git", "https://github.com/acme/wolkvox"),
        ("https://github.com/acme/wolkvox.git", "https://github.com/acme/wolkvox"),
        ("https://user:secret@gitlab.example.com/a/b/wolkvox/", "https://gitlab.example.com/a/b/wolkvox"),
        ("ssh://git@github.com:22/acme/wolkvox.git", "https://github.com/acme/wolkvox"),
        ("/srv/git/wolkvox.git", None),
        ("../wolkvox", None),
    ],
)
def test_the_page_of_a_remote(remote: str, page: str | None) -> None:
    assert catalogue.page_of(remote) == page


def test_links_lead_to_the_git_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "wolkvox_assets"
    package.mkdir()
    for command in (
        ["init", "--quiet"],
        ["remote", "add", "origin", "https://user:secret@github.com/acme/wolkvox.git"],
        [
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.com",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "x",
        ],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(catalogue, "_PACKAGE", package)

    @dg.asset
    def made_here() -> None: ...

    (linked,) = catalogue.with_links_to_code([made_here])
    (place,) = linked.metadata_by_key[made_here.key]["dagster/code_references"].code_references
    assert place.url.startswith("https://github.com/acme/wolkvox/tree/")
    assert "secret" not in place.url
