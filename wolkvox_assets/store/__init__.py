"""The DuckDB files: tables, replacing windows, publishing, daily totals. Knows no Dagster."""

from wolkvox_assets.store.files import Store, StoreBusy, StoreError, StoreFull

__all__ = ["Store", "StoreBusy", "StoreError", "StoreFull"]
