-- Causes of failure by decade of the learning rate
--
-- From which rate on do trials blow up, and below which do they not learn?
--
-- :study (text)  the study
WITH decades (low, high) AS (
    VALUES
        (0.0, 0.000001), (0.000001, 0.00001), (0.00001, 0.0001), (0.0001, 0.001), (0.001, 0.01),
        (0.01, 0.1), (0.1, 1.0), (1.0, 10.0), (10.0, NULL)
),
tried AS MATERIALIZED (
    SELECT
        lr,
        CASE
            WHEN cause IN ('healthy', 'not_checked') AND state = 'pruned' THEN 'ended by the search'
            ELSE coalesce(cause, state)
        END AS cause
    FROM results
    WHERE study = :study AND state IN ('complete', 'pruned', 'failed')
)
SELECT
    d.low AS lr_from,
    d.high AS lr_below,
    t.cause,
    count(*) AS trials,
    1.0 * count(*) / sum(count(*)) OVER (PARTITION BY d.low) AS share_of_decade
FROM decades AS d
JOIN tried AS t ON t.lr >= d.low AND (d.high IS NULL OR t.lr < d.high)
GROUP BY d.low, d.high, t.cause
ORDER BY d.low, trials DESC, t.cause
