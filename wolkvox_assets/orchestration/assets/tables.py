"""What Dagster's catalogue says of a table: its name, columns, types, meaning.

What belongs here: putting it in Dagster's terms. What doesn't: the words (`store/meanings.py`).
"""

from pathlib import PurePath

import dagster as dg

from wolkvox_assets.settings import Operation, Settings
from wolkvox_assets.store.meanings import columns


def table_metadata(settings: Settings, operation: Operation, table: str) -> dict[str, str | dg.TableSchema]:
    """Of an asset that is this operation's rows of this table of the published file.

    Dagster takes assets with one table name for one and the same thing, so the operation is part of it.
    """
    file = PurePath(settings.data_dir, "wolkvox.duckdb")
    described = (dg.TableColumn(name, kind, description=meaning) for name, kind, meaning in columns(table))
    return {
        "dagster/table_name": f"{file}.main.{table}/operation={operation.name}",
        "dagster/column_schema": dg.TableSchema(list(described)),
    }
