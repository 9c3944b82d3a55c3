"""What every test gets: an environment of its own, and nothing left behind; and the order that ends soonest.

What belongs here: isolation, order. What doesn't: fixtures of one folder's tests (they stand there).
"""

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)  # when they have been shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those first that take long: begun last, one would run alone on one core."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """What has been imported stays: looking through it for garbage again and again took a tenth of the time."""
    gc.freeze()


def _no_settings(patch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("WOLKVOX_", "DAGSTER_")):
            patch.delenv(name)
    patch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "300")  # as our storage sets it when it is imported


@pytest.fixture(autouse=True, scope="session")
def settings_of_nobody() -> Iterator[None]:
    """For what several tests share."""
    with pytest.MonkeyPatch.context() as patch:
        _no_settings(patch)
        yield


@pytest.fixture(autouse=True)
def environment_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the person who runs the tests, and their token locks not among ours."""
    _no_settings(monkeypatch)
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(folder)  # nor their .env
