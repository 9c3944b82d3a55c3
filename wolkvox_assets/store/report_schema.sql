-- The tables of each report, in both files, filled in with its names (filled.py). As for schema.sql: names, types and
-- grain are fixed.

CREATE TABLE IF NOT EXISTS {windows} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_start_utc TIMESTAMP NOT NULL,
    local_date DATE NOT NULL,
    agent_name VARCHAR NOT NULL,
    [[# INTEGER NOT NULL]]
);

CREATE TABLE IF NOT EXISTS {window_log} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    local_date DATE NOT NULL,
    agents INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    fetched_at TIMESTAMP NOT NULL,
    verified_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS {agent_days} (
    operation VARCHAR NOT NULL,
    local_date DATE NOT NULL,
    agent_name VARCHAR NOT NULL,
    [[# BIGINT NOT NULL]],
    active_windows INTEGER NOT NULL,
    first_window TIMESTAMP NOT NULL,
    last_window TIMESTAMP NOT NULL
);

CREATE TABLE IF NOT EXISTS {operation_days} (
    operation VARCHAR NOT NULL,
    local_date DATE NOT NULL,
    agents INTEGER NOT NULL,
    [[# BIGINT NOT NULL]],
    busiest_window TIMESTAMP,
    windows_known INTEGER NOT NULL,
    windows_expected INTEGER NOT NULL,
    complete BOOLEAN NOT NULL,
    verified_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS {corrections} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    agent_name VARCHAR NOT NULL,
    corrected_at TIMESTAMP NOT NULL,
    column_name VARCHAR NOT NULL,
    old_value INTEGER NOT NULL,
    new_value INTEGER NOT NULL
);

-- Of those that came lately: two runs can have asked for one window. No clock that can be set tells them apart. Where
-- several machines share a lake, all count by one: boot names that count, and each request is 10^9.
CREATE TABLE IF NOT EXISTS {answer_order} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    boot VARCHAR NOT NULL,
    uptime_ns BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS {additivity_proofs} (
    operation VARCHAR NOT NULL,
    proved_at TIMESTAMP NOT NULL,
    holds BOOLEAN NOT NULL,
    evidence VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS {total_row_verdicts} (
    operation VARCHAR NOT NULL,
    decided_at TIMESTAMP NOT NULL,
    has_total_row BOOLEAN NOT NULL,
    name VARCHAR,
    evidence VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS {agreements} (
    operation VARCHAR NOT NULL,
    range_start TIMESTAMP NOT NULL,
    range_end TIMESTAMP NOT NULL,
    agreed_at TIMESTAMP NOT NULL
);

CREATE TABLE IF NOT EXISTS {left_out} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    times INTEGER NOT NULL,
    tried_at TIMESTAMP NOT NULL,
    reason VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS {failed_attempts} (
    operation VARCHAR NOT NULL,
    work VARCHAR NOT NULL,
    ended_at TIMESTAMP NOT NULL,
    scope VARCHAR NOT NULL,
    error VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    access VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
);
