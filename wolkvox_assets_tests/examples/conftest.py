"""A store for what is tried on its published file."""

from pathlib import Path

import pytest

from wolkvox_assets.store.files import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "data")
