-- Two times of the same weekdays, over those windows that are known of both: how many, then the sums now and then.
WITH both_known AS (
    SELECT now.window_start AS now, past.window_start AS past
    FROM agent_9_window_log AS now
    JOIN agent_9_window_log AS past
        ON past.operation = now.operation AND past.window_start = now.window_start - $back
    WHERE now.operation = $operation
        AND now.local_date BETWEEN $first AND $last
        AND past.local_date BETWEEN $first_then AND $last_then
),
used AS (
    SELECT window_start, hold_mute_count, hold_seconds, mute_seconds, total_seconds
    FROM agent_9_windows
    WHERE operation = $operation
        AND (local_date BETWEEN $first AND $last OR local_date BETWEEN $first_then AND $last_then)
),
sums AS (
    SELECT
        local.moment,
        COALESCE(SUM(hold_mute_count), 0)::BIGINT AS hold_mute_count,
        COALESCE(SUM(hold_seconds), 0)::BIGINT AS hold_seconds,
        COALESCE(SUM(mute_seconds), 0)::BIGINT AS mute_seconds,
        COALESCE(SUM(total_seconds), 0)::BIGINT AS total_seconds
    FROM (
        SELECT 'now' AS moment, now AS window_start FROM both_known
        UNION ALL SELECT 'then', past FROM both_known
    ) AS local
    LEFT JOIN used USING (window_start)
    GROUP BY local.moment
)
SELECT (SELECT COUNT(*) FROM both_known), * EXCLUDE (moment) FROM sums ORDER BY moment;
