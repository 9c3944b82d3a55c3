-- Every table, in both files. Names, types and grain are fixed (other people's SQL rests on them).
-- No primary keys: with one, replacing a day took four times as long and the file was three times
-- larger; one writer at a time and DELETE + INSERT in one transaction keep rows unique, and a check shows it.

-- One row for an operation, a window and an agent.
-- window_start: wall clock. window_start_utc: the same moment in UTC; of an hour that is passed twice, the first pass.
CREATE TABLE IF NOT EXISTS agent_9_windows (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_start_utc TIMESTAMP NOT NULL,
    local_date DATE NOT NULL,
    agent_name VARCHAR NOT NULL,
    hold_mute_count INTEGER NOT NULL,
    hold_seconds INTEGER NOT NULL,
    mute_seconds INTEGER NOT NULL,
    total_seconds INTEGER NOT NULL
);

-- One row for each known window, with rows in agent_9_windows or none.
-- source: asked | derived | empty_range. fetched_at, verified_at: UTC.
CREATE TABLE IF NOT EXISTS agent_9_window_log (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    local_date DATE NOT NULL,
    agents INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    fetched_at TIMESTAMP NOT NULL,
    verified_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL
);

-- One row for an operation, a day and an agent who used hold or mute.
CREATE TABLE IF NOT EXISTS agent_hold_mute_daily (
    operation VARCHAR NOT NULL,
    local_date DATE NOT NULL,
    agent_name VARCHAR NOT NULL,
    hold_mute_count BIGINT NOT NULL,
    hold_seconds BIGINT NOT NULL,
    mute_seconds BIGINT NOT NULL,
    total_seconds BIGINT NOT NULL,
    active_windows INTEGER NOT NULL,
    first_window TIMESTAMP NOT NULL,
    last_window TIMESTAMP NOT NULL
);

-- One row for an operation and a known day, used or not. verified_at: UTC, of its least lately verified window.
CREATE TABLE IF NOT EXISTS operation_hold_mute_daily (
    operation VARCHAR NOT NULL,
    local_date DATE NOT NULL,
    agents INTEGER NOT NULL,
    hold_mute_count BIGINT NOT NULL,
    hold_seconds BIGINT NOT NULL,
    mute_seconds BIGINT NOT NULL,
    total_seconds BIGINT NOT NULL,
    busiest_window TIMESTAMP,
    windows_known INTEGER NOT NULL,
    windows_expected INTEGER NOT NULL,
    complete BOOLEAN NOT NULL,
    verified_at TIMESTAMP
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
    body VARCHAR
);

-- One row for each number of a known window that turned out to be another: a late record, or a repair.
-- old_value, new_value: 0 where the agent had, or has, no row. corrected_at: UTC.
CREATE TABLE IF NOT EXISTS agent_9_corrections (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    agent_name VARCHAR NOT NULL,
    corrected_at TIMESTAMP NOT NULL,
    column_name VARCHAR NOT NULL,
    old_value INTEGER NOT NULL,
    new_value INTEGER NOT NULL
);

-- One row for each verdict on whether the API's answers add up; the latest counts. proved_at: UTC.
CREATE TABLE IF NOT EXISTS additivity_proofs (
    operation VARCHAR NOT NULL,
    proved_at TIMESTAMP NOT NULL,
    holds BOOLEAN NOT NULL,
    evidence VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
);

-- One row for each look at the day's quota (`token_info`). read_at: UTC. used_today: by all tokens together.
CREATE TABLE IF NOT EXISTS quota_readings (
    operation VARCHAR NOT NULL,
    read_at TIMESTAMP NOT NULL,
    daily_limit INTEGER NOT NULL,
    used_today INTEGER NOT NULL,
    run_id VARCHAR NOT NULL
);
