-- Each agent's day, from the windows, of the days that are `expected` (see operation_days.sql). SUM(INTEGER) is HUGEINT,
-- hence the casts.
INSERT INTO {agent_days} BY NAME
SELECT
    operation,
    local_date,
    agent_name,
    [[SUM(#)::BIGINT AS #]],
    COUNT(*)::INTEGER AS active_windows,
    MIN(window_start) AS first_window,
    MAX(window_start) AS last_window
FROM {windows} SEMI JOIN expected USING (operation, local_date)
WHERE local_date BETWEEN $first AND $last
GROUP BY ALL
ORDER BY operation, local_date, agent_name;
