"""The DuckDB files: tables, replacing windows, publishing, daily totals. Knows no Dagster."""

from wolkvox_assets.store.errors import StoreBusy, StoreError, StoreFull
from wolkvox_assets.store.files import Store
from wolkvox_assets.store.sources import OtherSource

__all__ = ["OtherSource", "Store", "StoreBusy", "StoreError", "StoreFull"]
