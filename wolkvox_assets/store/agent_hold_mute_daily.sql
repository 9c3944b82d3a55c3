-- Each agent's day, from the windows. SUM(INTEGER) is HUGEINT, hence the casts.
INSERT INTO agent_hold_mute_daily BY NAME
SELECT
    operation,
    local_date,
    agent_name,
    SUM(hold_mute_count)::BIGINT AS hold_mute_count,
    SUM(hold_seconds)::BIGINT AS hold_seconds,
    SUM(mute_seconds)::BIGINT AS mute_seconds,
    SUM(total_seconds)::BIGINT AS total_seconds,
    COUNT(*)::INTEGER AS active_windows,
    MIN(window_start) AS first_window,
    MAX(window_start) AS last_window
FROM agent_9_windows
WHERE operation = $operation AND local_date BETWEEN $first AND $last
GROUP BY ALL
ORDER BY local_date, agent_name;
