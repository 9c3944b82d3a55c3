-- The tables of each report, in both files, filled in with its names (filled.py). As for schema.sql: names, types and
-- grain are fixed.

-- One row for an operation, a window and an agent.
-- window_start: wall clock. window_start_utc: the same moment in UTC; of an hour that is passed twice, the first pass.
CREATE TABLE IF NOT EXISTS {windows} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_start_utc TIMESTAMP NOT NULL,
    local_date DATE NOT NULL,
    agent_name VARCHAR NOT NULL,
    [[# INTEGER NOT NULL]]
);

-- One row for each known window, with rows in {windows} or none.
-- source: asked | derived | empty_range. fetched_at, verified_at: UTC.
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

-- One row for an operation, a day and an agent who has a row.
CREATE TABLE IF NOT EXISTS {agent_days} (
    operation VARCHAR NOT NULL,
    local_date DATE NOT NULL,
    agent_name VARCHAR NOT NULL,
    [[# BIGINT NOT NULL]],
    active_windows INTEGER NOT NULL,
    first_window TIMESTAMP NOT NULL,
    last_window TIMESTAMP NOT NULL
);

-- One row for an operation and a known day, with rows or without. verified_at: UTC, of its least lately verified window.
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

-- One row for each number of a known window that turned out to be another: a late record, or a repair.
-- old_value, new_value: 0 where the agent had, or has, no row. corrected_at: UTC.
CREATE TABLE IF NOT EXISTS {corrections} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    agent_name VARCHAR NOT NULL,
    corrected_at TIMESTAMP NOT NULL,
    column_name VARCHAR NOT NULL,
    old_value INTEGER NOT NULL,
    new_value INTEGER NOT NULL
);

-- Which answer of a window is the newer one, of those that came lately: two runs can have asked for one window.
-- uptime_ns: the machine's uptime when it was asked for, in nanoseconds; no clock that can be set. boot: since which start.
-- Where several machines share a lake, all count by one: boot names that count, and each request is 10^9.
CREATE TABLE IF NOT EXISTS {answer_order} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    boot VARCHAR NOT NULL,
    uptime_ns BIGINT NOT NULL
);

-- One row for each verdict on whether the API's answers add up; the latest counts. proved_at: UTC.
CREATE TABLE IF NOT EXISTS {additivity_proofs} (
    operation VARCHAR NOT NULL,
    proved_at TIMESTAMP NOT NULL,
    holds BOOLEAN NOT NULL,
    evidence VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
);

-- One row for each verdict on whether the server adds a row with the total of all agents; the one stored last counts.
-- name: of that row, NULL where there is none. decided_at: UTC.
CREATE TABLE IF NOT EXISTS {total_row_verdicts} (
    operation VARCHAR NOT NULL,
    decided_at TIMESTAMP NOT NULL,
    has_total_row BOOLEAN NOT NULL,
    name VARCHAR,
    evidence VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
);

-- One row for each range that was asked as a whole and agreed with all of its windows. agreed_at: UTC. Gone when one
-- of its windows is replaced.
CREATE TABLE IF NOT EXISTS {agreements} (
    operation VARCHAR NOT NULL,
    range_start TIMESTAMP NOT NULL,
    range_end TIMESTAMP NOT NULL,
    agreed_at TIMESTAMP NOT NULL
);

-- One row for each window that can't be had while others can. times: how often it was tried in vain. tried_at: UTC,
-- the last time. Gone when it was had.
CREATE TABLE IF NOT EXISTS {left_out} (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    times INTEGER NOT NULL,
    tried_at TIMESTAMP NOT NULL,
    reason VARCHAR NOT NULL
);

-- One row for each piece of work that failed, as long as none of its kind has succeeded since. work: live, recent,
-- history, range. ended_at: UTC. scope: temporary, windows (these cannot be had), operation (nothing works until
-- somebody changes something). access: a digest of token and source, to see that somebody did.
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
