-- How much does chance alone change the value?
--
-- Compares trials of the same configuration, which differ in their seed only.
--
-- A difference between two configurations that is not larger than this spread means little. Looks across all studies,
-- since a study has one seed and another slot of it draws other weights and another order of images.
--
-- :at_least (integer, default 2)  leave out configurations with fewer complete trials than this
WITH repeated AS (
    SELECT
        k.study,
        k.number,
        t.value,
        CAST(t.configuration AS TEXT) AS configuration,
        h.objective,
        count(*) OVER (PARTITION BY CAST(t.configuration AS TEXT), h.objective) AS trials,
        avg(t.value) OVER (PARTITION BY CAST(t.configuration AS TEXT), h.objective) AS mean
    FROM hpo_trial AS t
    JOIN hpo_study AS h ON h.study_id = t.study_id
    JOIN hpo_known_trial AS k ON k.trial_id = t.trial_id
    WHERE k.state = 'complete'
)
SELECT
    count(*) AS trials,
    avg(value) AS mean,
    min(value) AS lowest,
    max(value) AS highest,
    sqrt(sum((value - mean) * (value - mean)) / (count(*) - 1)) AS standard_deviation,
    min(study) AS study,
    min(number) AS example
FROM repeated
WHERE trials >= :at_least AND trials > 1
GROUP BY configuration, objective
ORDER BY mean DESC, study, example
