"""What the tests of the store share: a store in a folder of its own."""

from pathlib import Path

import pytest

from wolkvox_assets.store.files import FileStore


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Not there yet: the store makes it."""
    return tmp_path / "deep" / "data"


@pytest.fixture
def store(data_dir: Path) -> FileStore:
    return FileStore(data_dir)
