-- Activation by batch normalization: the best values
--
-- Rows are activations; columns are none, before and after, with the trials behind each value.
--
-- :study (text)  the study
WITH ranked AS (
    SELECT
        activation,
        batch_norm,
        value,
        score,
        row_number() OVER (PARTITION BY activation, batch_norm ORDER BY score DESC) AS place
    FROM results
    WHERE study = :study AND state = 'complete'
)
SELECT
    activation,
    max(value) FILTER (WHERE place = 1 AND batch_norm = 'none') AS best_none,
    max(value) FILTER (WHERE place = 1 AND batch_norm = 'before') AS best_before,
    max(value) FILTER (WHERE place = 1 AND batch_norm = 'after') AS best_after,
    count(*) FILTER (WHERE batch_norm = 'none') AS trials_none,
    count(*) FILTER (WHERE batch_norm = 'before') AS trials_before,
    count(*) FILTER (WHERE batch_norm = 'after') AS trials_after
FROM ranked
GROUP BY activation
ORDER BY max(score) DESC, activation
