-- The tables that are not of one report (those are in report_schema.sql), in both files. Names, types and grain are
-- fixed: other people's SQL rests on them. What each table and column means is said in meanings.py.
-- No primary keys: with one, replacing a day took four times as long and the file was three times
-- larger; one writer at a time and DELETE + INSERT in one transaction keep rows unique, and a check shows it.

-- A file without this table is version 1.
CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER NOT NULL,
    upgraded_at TIMESTAMP NOT NULL,
    upgraded_by VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS store_rewrites (
    rewritten_at TIMESTAMP NOT NULL,
    bytes BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS api_requests (
    operation VARCHAR NOT NULL,
    requested_at TIMESTAMP NOT NULL,
    api VARCHAR NOT NULL,
    date_ini VARCHAR,
    date_end VARCHAR,
    http_status INTEGER,
    code VARCHAR,
    msg VARCHAR,
    records INTEGER,
    seconds DOUBLE NOT NULL,
    run_id VARCHAR NOT NULL,
    body VARCHAR USING COMPRESSION zstd
);

CREATE TABLE IF NOT EXISTS operation_sources (
    operation VARCHAR NOT NULL,
    address VARCHAR NOT NULL,
    server VARCHAR NOT NULL,
    timezone VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

CREATE TABLE IF NOT EXISTS quota_readings (
    operation VARCHAR NOT NULL,
    read_at TIMESTAMP NOT NULL,
    daily_limit INTEGER NOT NULL,
    used_today INTEGER NOT NULL,
    run_id VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS quota_restarts (
    operation VARCHAR NOT NULL,
    read_at TIMESTAMP NOT NULL,
    restarts_at TIMESTAMP NOT NULL
);
