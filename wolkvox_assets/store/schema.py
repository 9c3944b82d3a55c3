"""The tables and views, as text and as DuckDB has them."""

from functools import cache
from importlib import resources

import duckdb

from wolkvox_assets.report.definition import Report
from wolkvox_assets.report.reports import REPORTS
from wolkvox_assets.store.filled import filled_file


def schema(*, lake: bool = False) -> str:
    """The tables' text, for a DuckDB file or for a lake: those of `schema.sql`, and those that each report has."""
    shared = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
    text = "\n".join([shared, *(filled_file("report_schema.sql", report) for report in REPORTS)])
    # DuckLake has no such words; its Parquet files are compressed as a whole.
    return text.replace(" USING COMPRESSION zstd", "") if lake else text


def views() -> str:
    """The views' text, for each report."""
    return "\n".join(filled_file("views.sql", report) for report in REPORTS)


def tables_wanted() -> dict[str, str]:
    """Each table, as DuckDB writes its definition."""
    return _wanted(tuple(REPORTS))


@cache
def _wanted(_reports: tuple[Report, ...]) -> dict[str, str]:
    con = duckdb.connect()
    try:
        con.execute(schema())
        return dict(con.execute("SELECT table_name, sql FROM duckdb_tables()").fetchall())
    finally:
        con.close()
