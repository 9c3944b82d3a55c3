-- For people and their tools, in the published file. Made anew with each version of the tables: whoever changes one
-- raises VERSION (versions.py).

CREATE OR REPLACE VIEW {by_hour} AS
SELECT
    operation, local_date, hour(window_start)::INTEGER AS hour,
    COUNT(DISTINCT agent_name)::INTEGER AS agents,
    [[SUM(#)::BIGINT AS #]]
FROM {windows}
GROUP BY operation, local_date, hour(window_start);

CREATE OR REPLACE VIEW {day_share} AS
SELECT
    operation, local_date, agent_name, [[#]],
    -- No named window: DuckDB takes one of two reports for a second one of the same statement.
    ROUND(100.0 * {last} / NULLIF(SUM({last}) OVER (PARTITION BY operation, local_date), 0), 1)::DOUBLE
        AS percent_of_operation,
    RANK() OVER (PARTITION BY operation, local_date ORDER BY {last} DESC)::INTEGER AS place
FROM {agent_days};

CREATE OR REPLACE VIEW {days_not_complete} AS
SELECT
    operation, local_date, windows_known, windows_expected,
    windows_expected - windows_known AS windows_missing, verified_at
FROM {operation_days}
WHERE NOT complete;
