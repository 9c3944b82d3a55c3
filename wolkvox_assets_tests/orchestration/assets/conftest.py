"""A Dagster instance on disk for each test that needs one."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from wolkvox_assets_tests.project import instance_in


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with instance_in(tmp_path / "dagster") as instance:
        yield instance
