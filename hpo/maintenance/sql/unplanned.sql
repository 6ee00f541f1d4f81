-- Trials without a slot.
SELECT h.name AS study, o.number, t.study_id, t.stage, t.slot AS detail, t.trial_id, t.outcome
FROM hpo_trial AS t
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
LEFT JOIN hpo_slot AS s ON s.study_id = t.study_id AND s.stage = t.stage AND s.slot = t.slot
WHERE s.slot IS NULL
ORDER BY h.name, o.number
