-- Days whose totals differ from what their windows and their log say now, or have none.
WITH agents AS (
    SELECT
        local_date,
        agent_name,
        SUM(hold_mute_count)::BIGINT,
        SUM(hold_seconds)::BIGINT,
        SUM(mute_seconds)::BIGINT,
        SUM(total_seconds)::BIGINT,
        COUNT(*)::INTEGER,
        MIN(window_start),
        MAX(window_start)
    FROM agent_9_windows
    WHERE operation = $operation
    GROUP BY local_date, agent_name
),
agent_totals AS (
    SELECT * EXCLUDE (operation) FROM agent_hold_mute_daily WHERE operation = $operation
),
days AS (
    SELECT local_date, COUNT(*)::INTEGER, MIN(verified_at)
    FROM agent_9_window_log
    WHERE operation = $operation
    GROUP BY local_date
),
day_totals AS (
    SELECT local_date, windows_known, verified_at FROM operation_hold_mute_daily WHERE operation = $operation
),
differing AS (
    SELECT local_date FROM ((FROM agents EXCEPT FROM agent_totals) UNION ALL (FROM agent_totals EXCEPT FROM agents))
    UNION
    SELECT local_date FROM ((FROM days EXCEPT FROM day_totals) UNION ALL (FROM day_totals EXCEPT FROM days))
)
SELECT DISTINCT local_date FROM differing ORDER BY local_date;
