"""Dagster's own SQLite storage, whose files one process at a time makes: `dagster.yaml` names it.

What belongs here: that lock. What doesn't: anything about what is stored.

Two commands that are started at one time on an unused DAGSTER_HOME both find no tables and both make them; one
of them ends in a traceback ("table runs already exists").
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from filelock import FileLock


class SqliteStorage(DagsterSqliteStorage):
    """`base_dir`: the folder, made where it is not there."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> "SqliteStorage":
        folder = Path(config_value["base_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "storage.lock"):
            return cls.from_local(inst_data=inst_data, **config_value)
