"""The DuckDB files: tables, replacing windows, publishing, daily totals. Knows no Dagster."""

from wolkvox_assets.store.errors import StoreBusy, StoreError, StoreFull
from wolkvox_assets.store.files import Store

__all__ = ["Store", "StoreBusy", "StoreError", "StoreFull"]
