-- Trials that Optuna still has: a study deleted with Optuna's own tools may leave rows of ours behind,
-- and SQLite may give their ids to another study.
SELECT
    t.trial_id,
    s.name AS study,
    o.number,
    -- An interrupted or paused trial is running for Optuna; here it waits for the worker that will go on with it.
    CASE
        WHEN t.outcome IS NULL AND q.state IN ('waiting', 'paused') THEN q.state
        WHEN CAST(o.state AS TEXT) = 'FAIL' THEN 'failed'
        ELSE lower(CAST(o.state AS TEXT))
    END AS state
FROM hpo_trial AS t
JOIN hpo_study AS s ON s.study_id = t.study_id
JOIN studies AS os ON os.study_id = s.study_id AND os.study_name = s.name
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
LEFT JOIN hpo_slot AS q ON q.study_id = t.study_id AND q.stage = t.stage AND q.slot = t.slot
