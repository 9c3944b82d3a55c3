"""What is stored, in files or in a lake: tables, replacing windows, publishing, daily totals. Knows no Dagster."""

from pathlib import Path

from wolkvox_assets.store.errors import StoreBusy, StoreError, StoreFull
from wolkvox_assets.store.face import Store
from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.lake.place import Lake
from wolkvox_assets.store.sources import OtherSource

__all__ = ["OtherSource", "Store", "StoreBusy", "StoreError", "StoreFull", "open_store"]


def open_store(data_dir: Path, lake: Lake | None) -> Store:
    """The store that is set: the lake, or without one the files in `data_dir`. Opens nothing yet."""
    if lake is None:
        return FileStore(data_dir)
    from wolkvox_assets.store.lake.store import LakeStore  # needs the extra `scale`

    return LakeStore(data_dir, lake)
