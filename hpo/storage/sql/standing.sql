-- How many trials have reached a rung, and how many of them rank ahead of the given trial.
SELECT
    count(*) AS compared,
    coalesce(sum(CASE WHEN r.score > :score OR (r.score = :score AND r.trial_id < :trial_id) THEN 1 ELSE 0 END), 0)
        AS ahead
FROM hpo_rung AS r
WHERE r.study_id = :study_id
    AND r.stage = :stage
    AND r.bracket = :bracket
    AND r.epochs = :epochs
    AND r.epoch = :epoch
    AND r.trial_id <> :trial_id
