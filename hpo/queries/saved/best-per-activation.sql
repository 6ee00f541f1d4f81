-- Which activation does best?
--
-- Trials, how many of them completed, best and mean value, and the number of the best trial of each activation.
--
-- :study (text)  the study
WITH ranked AS (
    SELECT
        activation,
        number,
        state,
        value,
        score,
        row_number() OVER (
            PARTITION BY activation ORDER BY CASE WHEN state = 'complete' THEN score END DESC NULLS LAST, number
        ) AS place
    FROM results
    WHERE study = :study
)
SELECT
    activation,
    count(*) AS trials,
    count(*) FILTER (WHERE state = 'complete') AS complete,
    max(value) FILTER (WHERE place = 1 AND state = 'complete') AS best,
    avg(value) FILTER (WHERE state = 'complete') AS mean,
    min(number) FILTER (WHERE place = 1 AND state = 'complete') AS best_number
FROM ranked
GROUP BY activation
ORDER BY max(score) FILTER (WHERE state = 'complete') DESC NULLS LAST, activation
