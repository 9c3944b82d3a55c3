"""File systems without locks, or with locks that hang: named within seconds, with the remedy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wolkvox_assets.store import disk
from wolkvox_assets_tests.store.processes import ROOT


@pytest.mark.long
def test_locks_that_do_not_work_are_named_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-m", "wolkvox_assets_tests.store.no_locks", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *found, last = map(json.loads, done.stdout.splitlines())
    assert len(found) == 7
    for told in found:
        for said, seconds in (told["change"], told["read"]):
            assert (
                f"the file system of {folder} ({disk.file_system(folder)}) has no working file locks" in said
            ), told
            assert "Set WOLKVOX_DATA_DIR to a folder on a local disk" in said
            # A hanging lock is given 1.5 s; the rest is for a machine that has other work.
            assert seconds < 10, told
        (line,) = told["doctor"]
        assert "has no working file locks" in line
    assert last["left"] == ["store.duckdb", "store.duckdb.lock", "store.duckdb.origin", "wolkvox.duckdb"]
