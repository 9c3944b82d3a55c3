"""Part of `make bench`: how long Dagster's pages take with a year of windows.

What belongs here: an instance in which a year is marked, and opening pages of it in a browser. What doesn't: the rest
of the bench.
"""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from playwright.sync_api import Page

from wolkvox_assets.definitions import build_definitions
from wolkvox_assets.orchestration.location import CodeLocation
from wolkvox_assets.orchestration.partitions import windows_key
from wolkvox_assets.settings import load_settings
from wolkvox_assets_tests.browser import opened
from wolkvox_assets_tests.project import instance_in
from wolkvox_assets_tests.ui.running import serving, wait_for

# With something that is there when the page is.
_PAGES = {
    "overview": "Latest materialization",
    "partitions": "Partitions Selected",
    "checks": "Checks (12)",
}


def rows(folder: Path) -> list[Sequence[str]]:
    """A table: each page, and how many seconds it takes until what it is for is there, the first time and again."""
    start = datetime.now(UTC).date() - timedelta(days=365)
    settings = {
        "WOLKVOX_BASE_URL": "http://127.0.0.1:9",
        "WOLKVOX_SERVER": "0013",
        "WOLKVOX_TOKEN": "nobody-asks",
        "WOLKVOX_START": f"{start}",
        "WOLKVOX_DATA_DIR": str(folder / "data"),
        "WOLKVOX_AUTOMATION": "off",
    }
    os.environ.update(settings)
    location = CodeLocation(load_settings())
    key = windows_key(location.settings.operations[0])
    partitions = build_definitions(location).resolve_asset_graph().get(key).partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys()
    (folder / "home").mkdir(parents=True)
    with instance_in(folder / "home" / ".dagster") as instance:
        _mark(instance, key, keys)
    with serving(folder / "home", settings) as url, opened() as page:
        wait_for(url, folder / "home", daemon=False)
        table: list[Sequence[str]] = [("page of a year of windows", "first", "again")]
        for name, words in _PAGES.items():
            address = f"{url}/assets/main/agent_9_windows?view={name}"
            first, again = (_seconds(page, address, words) for _ in ("first", "again"))
            table.append((name, f"{first:.1f} s", f"{again:.1f} s"))
        page.close()
    return table


def _mark(instance: dg.DagsterInstance, key: dg.AssetKey, keys: Sequence[str]) -> None:
    """All of these partitions, most of them straight in the event log."""
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=keys[0]))
    columns = "run_id, event, dagster_event_type, timestamp, asset_key"
    with instance.event_log_storage.index_connection() as con:  # type: ignore[attr-defined]  # SQLite's
        raw = con.connection
        like = raw.execute(
            f"SELECT {columns} FROM event_logs WHERE asset_key = ? LIMIT 1", [key.to_string()]
        ).fetchone()
        raw.executemany(
            f"INSERT INTO event_logs ({columns}, partition) VALUES (?, ?, ?, ?, ?, ?)",
            [(*like, partition) for partition in keys[1:-1]],
        )
        raw.commit()
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=keys[-1]))


def _seconds(page: Page, url: str, words: str) -> float:
    began = time.perf_counter()
    page.goto(url)
    page.get_by_text(words).filter(visible=True).first.wait_for(timeout=120_000)
    return time.perf_counter() - began  # the network is never idle: the page asks again and again
