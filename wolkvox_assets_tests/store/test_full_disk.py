"""No room: whatever the moment, it is said, nothing stored is lost, and a repeat works once there is room."""

import json
import os
import shutil
import subprocess
import sys
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from wolkvox_assets.store import StoreFull
from wolkvox_assets.store.errors import explained
from wolkvox_assets_tests.store.full_disk import AGENTS, WINDOWS
from wolkvox_assets_tests.store.processes import ROOT

OLD = [1, 1, AGENTS, AGENTS]
NEW = [2, 2, WINDOWS * AGENTS, WINDOWS * AGENTS]


def own_mounts(folder: Path) -> list[str]:
    """How to start a program that may mount something only it sees; empty where that can't be done here."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *user, "--mount"]
    if shutil.which("unshare") is None:
        return []
    can = subprocess.run(
        [*command, "mount", "-t", "tmpfs", "tmpfs", str(folder)], check=False, capture_output=True
    ).returncode
    return command if can == 0 else []


def outcomes(kind: str, folder: Path, prefix: list[str], way: str = "whole") -> list[dict[str, Any]]:
    folder.mkdir()
    program = [sys.executable, "-m", "wolkvox_assets_tests.store.full_disk", kind, str(folder), way]
    done = subprocess.run([*prefix, *program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(found: list[dict[str, Any]], way: str = "whole") -> None:
    # The rooms go from nothing to plenty: failing before the commit, after it, and not at all.
    assert found[0]["error"]
    assert found[0]["read"] == OLD
    assert not found[-1]["error"]
    # The spare needs no more room than the store had.
    assert way == "spare" or any(outcome["error"] and outcome["read"] == NEW for outcome in found)
    for outcome in found:
        if outcome["error"]:
            assert outcome["published"] == OLD, outcome  # whole, as it was
            assert outcome["read"] in (OLD, NEW), outcome  # whole, and all that is committed
            # Half a copy would take what room there is; a spare takes some only where there is enough.
            spare = [".wolkvox.duckdb.spare"] if way == "spare" and not outcome["full"] else []
            assert outcome["copies"] in ([], spare), outcome
            assert "repeat" in outcome["message"]
            assert "intact" in outcome["message"] or "as it was" in outcome["message"]
        else:
            assert outcome["published"] == outcome["read"] == NEW, outcome  # stored means published
        assert outcome["repeated"] == NEW, outcome
        left = [name for name in outcome["left"] if name != ".wolkvox.duckdb.spare"]
        assert left == ["store.duckdb", "store.duckdb.lock", "store.duckdb.origin", "wolkvox.duckdb"], outcome


@pytest.mark.parametrize("way", ["whole", "spare"])
def test_a_full_disk(tmp_path: Path, way: str) -> None:
    prefix = own_mounts(tmp_path)
    if not prefix:
        pytest.skip("this machine lets nobody mount a small disk; a limit on files is tested all the same")
    found = outcomes("disk", tmp_path / "disk", prefix, way)
    check(found, way)
    for outcome in found:
        if outcome["error"]:
            assert outcome["full"], outcome
            assert str(tmp_path / "disk" / "data") in outcome["message"]
            assert "Make room" in outcome["message"]


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    # The one place where DuckDB's close() fails to checkpoint and says nothing, while the copy still fits.
    found = outcomes("file", tmp_path / "file", [])
    check(found)
    assert all("File too large" in outcome["message"] for outcome in found if outcome["error"])


def test_it_is_told_which_disk_is_full() -> None:
    """The published file may be a link to another one."""
    with (
        pytest.raises(StoreFull, match="the disk of /mnt/published"),
        explained("publishing", Path("/data"), 1),
    ):
        raise OSError(
            ENOSPC, "No space left", "/data/store.duckdb", None, "/mnt/published/.wolkvox.duckdb.new"
        )
