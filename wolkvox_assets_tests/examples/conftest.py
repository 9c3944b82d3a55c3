"""A store for what is tried on its published file."""

from pathlib import Path

import pytest

from wolkvox_assets.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")
