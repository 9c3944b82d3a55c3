-- The operation's day, from the windows and from the log of known windows: a day without any use has a
-- row as well. `expected` (a registered frame: local_date, windows_expected) comes from the wall clock,
-- because on days when clocks change it is not 288. A window that was fetched in the future ($credible) is not known.
INSERT INTO {operation_days} BY NAME
WITH known AS (
    SELECT local_date, COUNT(*)::INTEGER AS windows_known, MIN(verified_at) AS verified_at
    FROM {window_log}
    WHERE operation = $operation AND local_date BETWEEN $first AND $last AND fetched_at <= $credible
    GROUP BY local_date
),
windows AS (
    SELECT
        local_date,
        window_start,
        [[SUM(#) AS #]]
    FROM {windows}
    WHERE operation = $operation AND local_date BETWEEN $first AND $last
    GROUP BY ALL
),
days AS (
    SELECT
        local_date,
        [[SUM(#) AS #]],
        -- The most seconds; of several such windows the earliest.
        ARG_MIN(window_start, {'fewer': -{last}, 'later': window_start}) AS busiest_window
    FROM windows
    GROUP BY local_date
),
agents AS (
    SELECT local_date, COUNT(DISTINCT agent_name)::INTEGER AS agents
    FROM {windows}
    WHERE operation = $operation AND local_date BETWEEN $first AND $last
    GROUP BY local_date
)
SELECT
    $operation AS operation,
    local_date,
    COALESCE(agents, 0) AS agents,
    [[COALESCE(#, 0)::BIGINT AS #]],
    busiest_window,
    windows_known,
    windows_expected,
    -- Where no answer ever had a row, nobody can tell a quiet operation from a server that lacks the report.
    windows_known = windows_expected AND (
        EXISTS (FROM {windows} WHERE operation = $operation)
        OR EXISTS (FROM {corrections} WHERE operation = $operation)
    ) AS complete,
    verified_at
FROM known
JOIN expected USING (local_date)
LEFT JOIN days USING (local_date)
LEFT JOIN agents USING (local_date)
ORDER BY local_date;
