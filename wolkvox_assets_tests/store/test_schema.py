"""Names, types and order of the columns: other people's SQL and Dagster's catalogue rest on them."""

from pathlib import Path

import pytest

from wolkvox_assets.store.files import FileStore
from wolkvox_assets.store.meanings import columns, meanings
from wolkvox_assets_tests.store.tables import query

# As in the design, letter by letter.
COLUMNS = {
    "agent_9_windows": [
        ("operation", "VARCHAR"),
        ("window_start", "TIMESTAMP"),
        ("window_start_utc", "TIMESTAMP"),
        ("local_date", "DATE"),
        ("agent_name", "VARCHAR"),
        ("hold_mute_count", "INTEGER"),
        ("hold_seconds", "INTEGER"),
        ("mute_seconds", "INTEGER"),
        ("total_seconds", "INTEGER"),
    ],
    "agent_9_window_log": [
        ("operation", "VARCHAR"),
        ("window_start", "TIMESTAMP"),
        ("local_date", "DATE"),
        ("agents", "INTEGER"),
        ("source", "VARCHAR"),
        ("fetched_at", "TIMESTAMP"),
        ("verified_at", "TIMESTAMP"),
        ("run_id", "VARCHAR"),
    ],
    "agent_hold_mute_daily": [
        ("operation", "VARCHAR"),
        ("local_date", "DATE"),
        ("agent_name", "VARCHAR"),
        ("hold_mute_count", "BIGINT"),
        ("hold_seconds", "BIGINT"),
        ("mute_seconds", "BIGINT"),
        ("total_seconds", "BIGINT"),
        ("active_windows", "INTEGER"),
        ("first_window", "TIMESTAMP"),
        ("last_window", "TIMESTAMP"),
    ],
    "operation_hold_mute_daily": [
        ("operation", "VARCHAR"),
        ("local_date", "DATE"),
        ("agents", "INTEGER"),
        ("hold_mute_count", "BIGINT"),
        ("hold_seconds", "BIGINT"),
        ("mute_seconds", "BIGINT"),
        ("total_seconds", "BIGINT"),
        ("busiest_window", "TIMESTAMP"),
        ("windows_known", "INTEGER"),
        ("windows_expected", "INTEGER"),
        ("complete", "BOOLEAN"),
        ("verified_at", "TIMESTAMP"),
    ],
    "api_requests": [
        ("operation", "VARCHAR"),
        ("requested_at", "TIMESTAMP"),
        ("api", "VARCHAR"),
        ("date_ini", "VARCHAR"),
        ("date_end", "VARCHAR"),
        ("http_status", "INTEGER"),
        ("code", "VARCHAR"),
        ("msg", "VARCHAR"),
        ("records", "INTEGER"),
        ("seconds", "DOUBLE"),
        ("run_id", "VARCHAR"),
        ("body", "VARCHAR"),
    ],
    # As in the issue "Ask as little as possible".
    "agent_9_answer_order": [
        ("operation", "VARCHAR"),
        ("window_start", "TIMESTAMP"),
        ("boot", "VARCHAR"),
        ("uptime_ns", "BIGINT"),
    ],
    "agent_9_corrections": [
        ("operation", "VARCHAR"),
        ("window_start", "TIMESTAMP"),
        ("agent_name", "VARCHAR"),
        ("corrected_at", "TIMESTAMP"),
        ("column_name", "VARCHAR"),
        ("old_value", "INTEGER"),
        ("new_value", "INTEGER"),
    ],
    "store_rewrites": [("rewritten_at", "TIMESTAMP"), ("bytes", "BIGINT")],
    "schema_version": [
        ("version", "INTEGER"),
        ("upgraded_at", "TIMESTAMP"),
        ("upgraded_by", "VARCHAR"),
    ],
    # Not in the design: what the pipeline itself remembers.
    "additivity_proofs": [
        ("operation", "VARCHAR"),
        ("proved_at", "TIMESTAMP"),
        ("holds", "BOOLEAN"),
        ("evidence", "VARCHAR"),
        ("run_id", "VARCHAR"),
    ],
    "total_row_verdicts": [
        ("operation", "VARCHAR"),
        ("decided_at", "TIMESTAMP"),
        ("has_total_row", "BOOLEAN"),
        ("name", "VARCHAR"),
        ("evidence", "VARCHAR"),
        ("run_id", "VARCHAR"),
    ],
    "agent_9_agreements": [
        ("operation", "VARCHAR"),
        ("range_start", "TIMESTAMP"),
        ("range_end", "TIMESTAMP"),
        ("agreed_at", "TIMESTAMP"),
    ],
    "agent_9_left_out": [
        ("operation", "VARCHAR"),
        ("window_start", "TIMESTAMP"),
        ("times", "INTEGER"),
        ("tried_at", "TIMESTAMP"),
        ("reason", "VARCHAR"),
    ],
    "operation_sources": [
        ("operation", "VARCHAR"),
        ("address", "VARCHAR"),
        ("server", "VARCHAR"),
        ("timezone", "VARCHAR"),
        ("recorded_at", "TIMESTAMP"),
    ],
    "failed_attempts": [
        ("operation", "VARCHAR"),
        ("work", "VARCHAR"),
        ("ended_at", "TIMESTAMP"),
        ("scope", "VARCHAR"),
        ("error", "VARCHAR"),
        ("message", "VARCHAR"),
        ("access", "VARCHAR"),
        ("run_id", "VARCHAR"),
    ],
    "quota_readings": [
        ("operation", "VARCHAR"),
        ("read_at", "TIMESTAMP"),
        ("daily_limit", "INTEGER"),
        ("used_today", "INTEGER"),
        ("run_id", "VARCHAR"),
    ],
    "quota_restarts": [
        ("operation", "VARCHAR"),
        ("read_at", "TIMESTAMP"),
        ("restarts_at", "TIMESTAMP"),
    ],
}

VIEWS = {
    "hold_mute_by_hour": [
        ("operation", "VARCHAR"),
        ("local_date", "DATE"),
        ("hour", "INTEGER"),
        ("agents", "INTEGER"),
        ("hold_mute_count", "BIGINT"),
        ("hold_seconds", "BIGINT"),
        ("mute_seconds", "BIGINT"),
        ("total_seconds", "BIGINT"),
    ],
    "agent_day_share": [
        ("operation", "VARCHAR"),
        ("local_date", "DATE"),
        ("agent_name", "VARCHAR"),
        ("hold_mute_count", "BIGINT"),
        ("hold_seconds", "BIGINT"),
        ("mute_seconds", "BIGINT"),
        ("total_seconds", "BIGINT"),
        ("percent_of_operation", "DOUBLE"),
        ("place", "INTEGER"),
    ],
    "days_not_complete": [
        ("operation", "VARCHAR"),
        ("local_date", "DATE"),
        ("windows_known", "INTEGER"),
        ("windows_expected", "INTEGER"),
        ("windows_missing", "INTEGER"),
        ("verified_at", "TIMESTAMP"),
    ],
}


@pytest.mark.parametrize("file", ["store.duckdb", "wolkvox.duckdb"])
def test_both_files_have_these_tables_and_no_others(file: str, store: FileStore, data_dir: Path) -> None:
    with store.transaction():
        pass
    found: dict[object, list[object]] = {}
    for table, *column in query(
        data_dir / file,
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'main' ORDER BY table_name, ordinal_position",
    ):
        found.setdefault(table, []).append(tuple(column))
    assert found == COLUMNS | VIEWS


def test_the_files_are_called_as_designed_and_nothing_else_lies_about(
    store: FileStore, data_dir: Path
) -> None:
    with store.transaction():
        pass
    assert store.published == data_dir / "wolkvox.duckdb"
    assert {path.name for path in data_dir.iterdir()} == {
        "store.duckdb",
        "store.duckdb.lock",
        "store.duckdb.origin",
        "wolkvox.duckdb",
    }


def test_older_duckdb_can_read_the_files(store: FileStore, data_dir: Path) -> None:
    with store.transaction():
        pass
    ((tags,),) = query(
        data_dir / "wolkvox.duckdb", "SELECT tags FROM duckdb_databases() WHERE database_name = 'wolkvox'"
    )
    assert isinstance(tags, dict)
    assert tags["storage_version"].startswith("v1.2.0")


@pytest.mark.parametrize("table", ["agent_9_windows", "agent_hold_mute_daily", "operation_hold_mute_daily"])
def test_the_catalogue_says_what_is_there(table: str) -> None:
    assert [(name, kind) for name, kind, _ in columns(table)] == COLUMNS[table]


@pytest.mark.parametrize("file", ["store.duckdb", "wolkvox.duckdb"])
def test_every_table_view_and_column_says_what_it_means(file: str, store: FileStore, data_dir: Path) -> None:
    with store.transaction():
        pass
    said = query(
        data_dir / file,
        "SELECT table_name, comment FROM duckdb_tables() UNION ALL SELECT view_name, comment FROM duckdb_views()"
        " WHERE NOT internal",
    )
    assert {name for name, _ in said} == COLUMNS.keys() | VIEWS.keys()
    said += query(
        data_dir / file,
        "SELECT table_name || '.' || column_name, comment FROM duckdb_columns() WHERE NOT internal",
    )
    assert len(said) > 100
    assert all(words and str(words).endswith((".", ")")) for _, words in said), said
    assert not meanings().keys() - {name for name, _ in said}
