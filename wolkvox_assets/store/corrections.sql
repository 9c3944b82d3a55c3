-- What the batch changes of windows that are known already. A window that was not known is no correction, be it
-- that it was fetched in the future (`credible`), nor is content that is the same. Uses are not replaced silently all
-- the same: it may be now that a clock is wrong.
CREATE OR REPLACE TEMP TABLE batch_corrections AS
WITH known AS (
    SELECT operation, window_start
    FROM {window_log} AS log JOIN batch USING (operation, window_start)
    WHERE window_start BETWEEN $first AND $last AND (log.fetched_at <= credible OR log.agents > 0)
),
old AS (FROM {windows} SEMI JOIN known USING (operation, window_start) WHERE window_start BETWEEN $first AND $last),
new AS (FROM batch_rows SEMI JOIN known USING (operation, window_start)),
pairs AS (
    SELECT operation, window_start, agent_name, unnest([
        [[{'column_name': '#', 'old_value': old.#, 'new_value': new.#}]]
    ]) AS change
    FROM old FULL JOIN new USING (operation, window_start, agent_name)
)
SELECT
    operation,
    window_start,
    agent_name,
    get_current_timestamp()::TIMESTAMP AS corrected_at,
    change.column_name AS column_name,
    COALESCE(change.old_value, 0) AS old_value,
    COALESCE(change.new_value, 0) AS new_value
FROM pairs
WHERE COALESCE(change.old_value, 0) <> COALESCE(change.new_value, 0)
ORDER BY operation, window_start, agent_name, column_name;
