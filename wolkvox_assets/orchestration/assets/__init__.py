"""The three assets of each operation and report: the windows, and the daily totals by agent and by operation; and what
is around them in the graph.

What belongs here: Dagster's side of them: keys, partitions, metadata, marks. What doesn't: what is asked
(`sync/`), how (`api/`), what is stored (`store/`), and the pace of it (`loading.py`).
"""

from wolkvox_assets.orchestration.assets.catalogue import build_surroundings, with_links_to_code
from wolkvox_assets.orchestration.assets.daily import build_daily_assets
from wolkvox_assets.orchestration.assets.lake import build_lake
from wolkvox_assets.orchestration.assets.parquet import build_parquet
from wolkvox_assets.orchestration.assets.windows import build_windows

__all__ = [
    "build_daily_assets",
    "build_lake",
    "build_parquet",
    "build_surroundings",
    "build_windows",
    "with_links_to_code",
]
