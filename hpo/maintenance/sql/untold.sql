-- Trials that ended here and that are still under way for Optuna.
SELECT h.name AS study, o.number, t.trial_id, t.outcome AS detail
FROM hpo_trial AS t
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
WHERE t.outcome IS NOT NULL AND CAST(o.state AS TEXT) IN ('RUNNING', 'WAITING')
ORDER BY h.name, o.number
