-- Every study of this database
--
-- Trials by state, best value, hours, data set, seed and code version.
WITH counted AS (
    SELECT
        study,
        count(*) AS trials,
        count(*) FILTER (WHERE state = 'complete') AS complete,
        count(*) FILTER (WHERE state = 'pruned') AS pruned,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        max(value) FILTER (WHERE state = 'complete') AS highest,
        min(value) FILTER (WHERE state = 'complete') AS lowest,
        sum(seconds) / 3600 AS hours,
        min(started) AS started,
        max(finished) AS finished
    FROM results
    GROUP BY study
)
SELECT
    c.study,
    c.trials,
    c.complete,
    c.pruned,
    c.failed,
    CASE s.direction WHEN 'minimize' THEN c.lowest ELSE c.highest END AS best,
    c.hours,
    c.started,
    c.finished,
    nullif(s.dataset, '') AS dataset,
    s.seed,
    s.code_version
FROM counted AS c
JOIN hpo_study AS s ON s.name = c.study
ORDER BY c.started, c.study
