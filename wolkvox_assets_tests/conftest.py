"""What every test gets: an environment of its own, and nothing left behind.

What belongs here: isolation. What doesn't: fixtures of one folder's tests (they stand there).
"""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def environment_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the person who runs the tests, and their token locks not among ours."""
    for name in os.environ:
        if name.startswith(("WOLKVOX_", "DAGSTER_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "300")  # as our storage sets it when it is imported
    monkeypatch.chdir(folder)  # nor their .env
