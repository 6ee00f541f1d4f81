-- Trials of ours that Optuna no longer has.
SELECT h.name AS study, NULL AS number, t.slot AS detail
FROM hpo_trial AS t
LEFT JOIN hpo_study AS h ON h.study_id = t.study_id
WHERE NOT EXISTS (SELECT 1 FROM trials AS o WHERE o.trial_id = t.trial_id AND o.study_id = t.study_id)
ORDER BY h.name, t.slot
