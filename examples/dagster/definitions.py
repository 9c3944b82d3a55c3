"""A code location of somebody else's, on what wolkvox_assets publishes. Copy it, and change what it makes.

    WOLKVOX_DUCKDB=data/wolkvox.duckdb dg launch --assets agents_to_coach --partition 2026-11-16 …

In one Dagster with wolkvox_assets (two locations in `workspace.yaml`), the graph shows this asset after the published
file. It is made anew for a day whenever that day's totals change.
"""

import dagster as dg
from dagster_duckdb import DuckDBResource

OPERATION = "main"

days = dg.DailyPartitionsDefinition("2026-11-01", timezone="America/Bogota", end_offset=1)


@dg.asset(
    deps=[dg.AssetKey("wolkvox_duckdb"), dg.AssetKey([OPERATION, "agent_hold_mute_daily"])],
    partitions_def=days,
    automation_condition=dg.AutomationCondition.eager(),
)
def agents_to_coach(context: dg.AssetExecutionContext, wolkvox: DuckDBResource) -> dg.MaterializeResult[None]:
    """The three agents who kept customers on hold for longest on a day."""
    with wolkvox.get_connection() as con:
        found = con.execute(
            "SELECT agent_name, hold_seconds FROM agent_hold_mute_daily WHERE operation = $operation"
            " AND local_date = $day ORDER BY hold_seconds DESC LIMIT 3",
            {"operation": OPERATION, "day": context.partition_time_window.start.date()},
        ).fetchall()
    records = [dg.TableRecord({"agent": name, "hold_seconds": seconds}) for name, seconds in found]
    return dg.MaterializeResult(metadata={"agents": dg.MetadataValue.table(records) if records else "none"})


defs = dg.Definitions(
    assets=[agents_to_coach],
    resources={
        # Read only: a reader never holds the pipeline up, however long it reads.
        "wolkvox": DuckDBResource(
            database=dg.EnvVar("WOLKVOX_DUCKDB"), connection_config={"access_mode": "READ_ONLY"}
        )
    },
)
