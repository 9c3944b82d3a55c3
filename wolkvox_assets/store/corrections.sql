-- What the batch changes of windows that are known already. A window that was not known is no correction, be it
-- that it was fetched in the future ($credible), nor is content that is the same.
CREATE OR REPLACE TEMP TABLE batch_corrections AS
WITH known AS (
    SELECT window_start
    FROM {window_log}
    WHERE operation = $operation AND window_start BETWEEN $first AND $last AND fetched_at <= $credible
        AND window_start IN (SELECT window_start FROM batch)
),
old AS (
    FROM {windows}
    WHERE operation = $operation AND window_start BETWEEN $first AND $last
        AND window_start IN (FROM known)
),
new AS (FROM batch_rows WHERE window_start IN (FROM known)),
pairs AS (
    SELECT window_start, agent_name, unnest([
        [[{'column_name': '#', 'old_value': old.#, 'new_value': new.#}]]
    ]) AS change
    FROM old FULL JOIN new USING (window_start, agent_name)
)
SELECT
    $operation AS operation,
    window_start,
    agent_name,
    get_current_timestamp()::TIMESTAMP AS corrected_at,
    change.column_name AS column_name,
    COALESCE(change.old_value, 0) AS old_value,
    COALESCE(change.new_value, 0) AS new_value
FROM pairs
WHERE COALESCE(change.old_value, 0) <> COALESCE(change.new_value, 0)
ORDER BY window_start, agent_name, column_name;
