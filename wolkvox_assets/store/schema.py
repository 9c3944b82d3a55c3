"""The tables and views, as text and as DuckDB has them.

What belongs here: that. What doesn't: what became of older ones (`versions.py`), and what they mean (`meanings.py`).
"""

from functools import cache
from importlib import resources

import duckdb


def schema(*, lake: bool = False) -> str:
    """The tables' text, for a DuckDB file or for a lake."""
    text = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
    # DuckLake has no such words; its Parquet files are compressed as a whole.
    return text.replace(" USING COMPRESSION zstd", "") if lake else text


def views() -> str:
    return resources.files(__package__).joinpath("views.sql").read_text("utf-8")


@cache
def tables_wanted() -> dict[str, str]:
    """Each table of `schema.sql`, as DuckDB writes its definition."""
    con = duckdb.connect()
    try:
        con.execute(schema())
        return dict(con.execute("SELECT table_name, sql FROM duckdb_tables()").fetchall())
    finally:
        con.close()
