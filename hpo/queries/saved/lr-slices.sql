-- Results by learning rate, three slices a decade
--
-- :study (text)  the study
WITH slices (low, high) AS (
    VALUES
        (0.0, 0.000001), (0.000001, 0.000002), (0.000002, 0.000005), (0.000005, 0.00001),
        (0.00001, 0.00002), (0.00002, 0.00005), (0.00005, 0.0001), (0.0001, 0.0002),
        (0.0002, 0.0005), (0.0005, 0.001), (0.001, 0.002), (0.002, 0.005),
        (0.005, 0.01), (0.01, 0.02), (0.02, 0.05), (0.05, 0.1),
        (0.1, 0.2), (0.2, 0.5), (0.5, 1.0), (1.0, 2.0),
        (2.0, 5.0), (5.0, 10.0), (10.0, NULL)
),
tried AS MATERIALIZED (
    SELECT r.lr, r.state, r.value, h.direction
    FROM results AS r
    JOIN hpo_study AS h ON h.name = r.study
    WHERE r.study = :study
)
SELECT
    s.low AS lr_from,
    s.high AS lr_below,
    count(*) AS trials,
    count(*) FILTER (WHERE t.state = 'complete') AS complete,
    count(*) FILTER (WHERE t.state = 'pruned') AS pruned,
    count(*) FILTER (WHERE t.state = 'failed') AS failed,
    CASE min(t.direction)
        WHEN 'minimize' THEN min(t.value) FILTER (WHERE t.state = 'complete')
        ELSE max(t.value) FILTER (WHERE t.state = 'complete')
    END AS best,
    avg(t.value) FILTER (WHERE t.state = 'complete') AS mean
FROM slices AS s
JOIN tried AS t ON t.lr >= s.low AND (s.high IS NULL OR t.lr < s.high)
GROUP BY s.low, s.high
ORDER BY s.low
