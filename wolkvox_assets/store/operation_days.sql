-- The operation's day, from the windows and from the log of known windows: a day without any use has a
-- row as well. `expected` (a registered frame: operation, local_date, windows_expected, credible) comes from the wall
-- clock, because on days when clocks change it is not 288. A window that was fetched in the future (`credible`) is not
-- known: a clock was wrong then, or is wrong now. What stands in it is added up all the same, as in the table of agents:
-- a clock that is behind must not make totals vanish. The bounds say nothing new; they let DuckDB skip the row groups
-- of other days.
INSERT INTO rebuilt BY NAME
WITH known AS (
    SELECT
        operation,
        local_date,
        windows_expected,
        COUNT(*) FILTER (fetched_at <= credible)::INTEGER AS windows_known,
        MIN(verified_at) FILTER (fetched_at <= credible) AS verified_at
    FROM {window_log} JOIN expected USING (operation, local_date)
    WHERE local_date BETWEEN $first AND $last
    GROUP BY ALL
),
rows AS MATERIALIZED (
    FROM {windows} SEMI JOIN expected USING (operation, local_date)
    WHERE local_date BETWEEN $first AND $last
),
windows AS (
    SELECT
        operation,
        local_date,
        window_start,
        [[SUM(#) AS #]]
    FROM rows
    GROUP BY ALL
),
days AS (
    SELECT
        operation,
        local_date,
        [[SUM(#) AS #]],
        -- The most seconds; of several such windows the earliest.
        ARG_MIN(window_start, {'fewer': -{last}, 'later': window_start}) AS busiest_window
    FROM windows
    GROUP BY operation, local_date
),
agents AS (
    SELECT operation, local_date, COUNT(DISTINCT agent_name)::INTEGER AS agents
    FROM rows
    GROUP BY operation, local_date
)
SELECT
    operation,
    local_date,
    COALESCE(agents, 0) AS agents,
    [[COALESCE(#, 0)::BIGINT AS #]],
    busiest_window,
    windows_known,
    windows_expected,
    windows_known = windows_expected AS complete,
    verified_at
FROM known
LEFT JOIN days USING (operation, local_date)
LEFT JOIN agents USING (operation, local_date)
ORDER BY operation, local_date;
