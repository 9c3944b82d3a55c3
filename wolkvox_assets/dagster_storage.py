"""The name of `orchestration/instance/storage.py` in `dagster.yaml` files of before."""

from wolkvox_assets.orchestration.instance.storage import SqliteStorage

__all__ = ["SqliteStorage"]
