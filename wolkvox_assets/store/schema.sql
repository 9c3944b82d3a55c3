-- The tables that are not of one report (those are in report_schema.sql), in both files. Names, types and grain are fixed (other people's SQL rests on them).
-- No primary keys: with one, replacing a day took four times as long and the file was three times
-- larger; one writer at a time and DELETE + INSERT in one transaction keep rows unique, and a check shows it.

-- One row for each version of these tables that the file went through; the highest is what it is now.
-- upgraded_at: UTC. upgraded_by: the release that did it. A file without this table is version 1.
CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER NOT NULL,
    upgraded_at TIMESTAMP NOT NULL,
    upgraded_by VARCHAR NOT NULL
);

-- One row for each time the file was written anew, without the room that changes leave in it; the first is when it was
-- made. rewritten_at: UTC. bytes: its size then.
CREATE TABLE IF NOT EXISTS store_rewrites (
    rewritten_at TIMESTAMP NOT NULL,
    bytes BIGINT NOT NULL
);

-- One row for each request made. requested_at: UTC. date_ini, date_end: as sent. body: as it came, capped.
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

-- One row for each operation of which anything is stored: where all of it came from. address: scheme, host, port, path.
-- server: the server code. recorded_at: UTC.
CREATE TABLE IF NOT EXISTS operation_sources (
    operation VARCHAR NOT NULL,
    address VARCHAR NOT NULL,
    server VARCHAR NOT NULL,
    timezone VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- One row for each look at the day's quota (`token_info`). read_at: UTC. used_today: by all tokens together.
CREATE TABLE IF NOT EXISTS quota_readings (
    operation VARCHAR NOT NULL,
    read_at TIMESTAMP NOT NULL,
    daily_limit INTEGER NOT NULL,
    used_today INTEGER NOT NULL,
    run_id VARCHAR NOT NULL
);

-- One row for each look at the quota in which the server said when its count begins anew. read_at: that of the reading.
-- restarts_at: UTC.
CREATE TABLE IF NOT EXISTS quota_restarts (
    operation VARCHAR NOT NULL,
    read_at TIMESTAMP NOT NULL,
    restarts_at TIMESTAMP NOT NULL
);
