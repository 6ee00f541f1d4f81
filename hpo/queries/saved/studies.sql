-- Every study of this database
--
-- Trials by state, best value (of a confirmed configuration: its mean), hours, data set, seed and code version.
WITH counted AS (
    SELECT
        study,
        count(*) AS trials,
        count(*) FILTER (WHERE state = 'complete') AS complete,
        count(*) FILTER (WHERE state = 'pruned') AS pruned,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        max(value) FILTER (WHERE state = 'complete' AND stage <> 'test') AS highest,
        min(value) FILTER (WHERE state = 'complete' AND stage <> 'test') AS lowest,
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
    coalesce(f.mean, CASE s.direction WHEN 'minimize' THEN c.lowest ELSE c.highest END) AS best,
    c.hours,
    c.started,
    c.finished,
    nullif(s.dataset, '') AS dataset,
    s.seed,
    s.code_version
FROM counted AS c
JOIN hpo_study AS s ON s.name = c.study
LEFT JOIN confirmations AS f ON f.study = c.study AND f.rank = 1
ORDER BY c.started, c.study
