-- For people and their tools, in the published file. Made anew with each version of the tables: whoever changes one
-- raises VERSION (integrity.py).

CREATE OR REPLACE VIEW hold_mute_by_hour AS
SELECT
    operation, local_date, hour(window_start)::INTEGER AS hour,
    COUNT(DISTINCT agent_name)::INTEGER AS agents,
    SUM(hold_mute_count)::BIGINT AS hold_mute_count,
    SUM(hold_seconds)::BIGINT AS hold_seconds,
    SUM(mute_seconds)::BIGINT AS mute_seconds,
    SUM(total_seconds)::BIGINT AS total_seconds
FROM agent_9_windows
GROUP BY operation, local_date, hour(window_start);

CREATE OR REPLACE VIEW agent_day_share AS
SELECT
    operation, local_date, agent_name, hold_mute_count, hold_seconds, mute_seconds, total_seconds,
    ROUND(100.0 * total_seconds / NULLIF(SUM(total_seconds) OVER day, 0), 1)::DOUBLE AS percent_of_operation,
    RANK() OVER (day ORDER BY total_seconds DESC)::INTEGER AS place
FROM agent_hold_mute_daily
WINDOW day AS (PARTITION BY operation, local_date);

CREATE OR REPLACE VIEW days_not_complete AS
SELECT
    operation, local_date, windows_known, windows_expected,
    windows_expected - windows_known AS windows_missing, verified_at
FROM operation_hold_mute_daily
WHERE NOT complete;
