-- Which choice of each searched hyperparameter does best?
--
-- A number that was drawn from a range has no choices: see lr-slices and importance.
--
-- :study (text)  the study
WITH grouped AS (
    SELECT
        param,
        stored,
        count(*) AS trials,
        count(*) FILTER (WHERE state = 'complete') AS complete,
        max(value) FILTER (WHERE state = 'complete') AS highest,
        min(value) FILTER (WHERE state = 'complete') AS lowest,
        avg(value) FILTER (WHERE state = 'complete') AS mean,
        min(trial_id) AS example
    FROM params
    WHERE study = :study AND kind = 'choice'
    GROUP BY param, stored
)
SELECT
    g.param,
    p.value_text AS choice,
    g.trials,
    g.complete,
    CASE d.sign WHEN 1 THEN g.highest ELSE g.lowest END AS best,
    g.mean
FROM grouped AS g
-- The choice in words is read once for each, not for each trial.
JOIN params AS p ON p.trial_id = g.example AND p.param = g.param
-- 1 if higher values are better.
CROSS JOIN (
    SELECT coalesce(min(CASE direction WHEN 'minimize' THEN -1 ELSE 1 END), 1) AS sign
    FROM hpo_study
    WHERE name = :study
) AS d
ORDER BY g.param, d.sign * CASE d.sign WHEN 1 THEN g.highest ELSE g.lowest END DESC NULLS LAST, choice
