-- Every table, in both files. Names, types and grain are fixed (other people's SQL rests on them).
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
    body VARCHAR USING COMPRESSION zstd
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

-- Which answer of a window is the newer one, of those that came lately: two runs can have asked for one window.
-- uptime_ns: the machine's uptime when the answer was had, in nanoseconds; no clock that can be set. boot: since which start.
CREATE TABLE IF NOT EXISTS agent_9_answer_order (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    boot VARCHAR NOT NULL,
    uptime_ns BIGINT NOT NULL
);

-- One row for each verdict on whether the API's answers add up; the latest counts. proved_at: UTC.
CREATE TABLE IF NOT EXISTS additivity_proofs (
    operation VARCHAR NOT NULL,
    proved_at TIMESTAMP NOT NULL,
    holds BOOLEAN NOT NULL,
    evidence VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
);

-- One row for each verdict on whether the server adds a row with the total of all agents; the one stored last counts.
-- name: of that row, NULL where there is none. decided_at: UTC.
CREATE TABLE IF NOT EXISTS total_row_verdicts (
    operation VARCHAR NOT NULL,
    decided_at TIMESTAMP NOT NULL,
    has_total_row BOOLEAN NOT NULL,
    name VARCHAR,
    evidence VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
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

-- One row for each range that was asked as a whole and agreed with all of its windows. agreed_at: UTC. Gone when one
-- of its windows is replaced.
CREATE TABLE IF NOT EXISTS agent_9_agreements (
    operation VARCHAR NOT NULL,
    range_start TIMESTAMP NOT NULL,
    range_end TIMESTAMP NOT NULL,
    agreed_at TIMESTAMP NOT NULL
);

-- One row for each window that can't be had while others can. times: how often it was tried in vain. tried_at: UTC,
-- the last time. Gone when it was had.
CREATE TABLE IF NOT EXISTS agent_9_left_out (
    operation VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    times INTEGER NOT NULL,
    tried_at TIMESTAMP NOT NULL,
    reason VARCHAR NOT NULL
);

-- One row for each piece of work that failed, as long as none of its kind has succeeded since. work: live, recent,
-- history, range. ended_at: UTC. scope: temporary, windows (these cannot be had), operation (nothing works until
-- somebody changes something). access: a digest of token and source, to see that somebody did.
CREATE TABLE IF NOT EXISTS failed_attempts (
    operation VARCHAR NOT NULL,
    work VARCHAR NOT NULL,
    ended_at TIMESTAMP NOT NULL,
    scope VARCHAR NOT NULL,
    error VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    access VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL
);
