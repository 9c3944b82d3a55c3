"""What Dagster's catalogue says of each table: columns, types, meaning.

What belongs here: words for people. What doesn't: the tables themselves (`store/schema.sql`; a test holds
the two together).
"""

from pathlib import PurePath

import dagster as dg

from wolkvox_assets.settings import Operation, Settings

_OPERATION = dg.TableColumn("operation", "VARCHAR", description="Name of the operation (contact centre).")
_LOCAL_DATE = dg.TableColumn("local_date", "DATE", description="Day on the operation's wall clock.")
_AGENT = dg.TableColumn(
    "agent_name",
    "VARCHAR",
    description="As in Wolkvox, blanks folded. The API has nothing else to tell agents apart.",
)


def _totals(kind: str) -> list[dg.TableColumn]:
    return [
        dg.TableColumn("hold_mute_count", kind, description="How often hold or mute was used."),
        dg.TableColumn("hold_seconds", kind, description="Seconds on hold."),
        dg.TableColumn("mute_seconds", kind, description="Seconds muted."),
        dg.TableColumn(
            "total_seconds",
            kind,
            description="Seconds of both, as the API says it: hold + mute, where the API keeps to that.",
        ),
    ]


def table_name(settings: Settings, operation: Operation, table: str) -> str:
    """The table in the published file, and the operation whose rows of it an asset is: `dagster/table_name`.

    Dagster takes assets with one table name for one and the same thing.
    """
    return f"{PurePath(settings.data_dir, 'wolkvox.duckdb')}.main.{table}/operation={operation.name}"


AGENT_9_WINDOWS = dg.TableSchema(
    [
        _OPERATION,
        dg.TableColumn(
            "window_start",
            "TIMESTAMP",
            description="Wall clock. The hour that is passed twice when clocks go back is stored once.",
        ),
        dg.TableColumn(
            "window_start_utc", "TIMESTAMP", description="The same moment in UTC; of two passes the first."
        ),
        _LOCAL_DATE,
        _AGENT,
        *_totals("INTEGER"),
    ]
)

AGENT_HOLD_MUTE_DAILY = dg.TableSchema(
    [
        _OPERATION,
        _LOCAL_DATE,
        _AGENT,
        *_totals("BIGINT"),
        dg.TableColumn(
            "active_windows", "INTEGER", description="Windows of five minutes in which the agent has a row."
        ),
        dg.TableColumn("first_window", "TIMESTAMP", description="The first of them. Wall clock."),
        dg.TableColumn("last_window", "TIMESTAMP", description="The last of them. Wall clock."),
    ]
)

OPERATION_HOLD_MUTE_DAILY = dg.TableSchema(
    [
        _OPERATION,
        _LOCAL_DATE,
        dg.TableColumn("agents", "INTEGER", description="Agents who used hold or mute."),
        *_totals("BIGINT"),
        dg.TableColumn(
            "busiest_window",
            "TIMESTAMP",
            description="The window with the most seconds, the earliest of several. Wall clock.",
        ),
        dg.TableColumn("windows_known", "INTEGER", description="Windows these totals rest on."),
        dg.TableColumn(
            "windows_expected",
            "INTEGER",
            description="Windows the day has on the wall clock: 288; fewer where an hour is skipped.",
        ),
        dg.TableColumn(
            "complete",
            "BOOLEAN",
            description="All windows of the day are known, and some answer of the operation ever had a row.",
        ),
        dg.TableColumn(
            "verified_at",
            "TIMESTAMP",
            description="UTC. When its windows were found equal to the API, the longest ago of them.",
        ),
    ]
)
