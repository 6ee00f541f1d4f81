-- Slots that a worker holds; whether the worker is dead is for the caller to find out.
SELECT
    h.name AS study,
    o.number,
    s.study_id,
    s.stage,
    s.slot,
    s.worker,
    s.lease_until
FROM hpo_slot AS s
JOIN hpo_study AS h ON h.study_id = s.study_id
LEFT JOIN trials AS o ON o.trial_id = s.trial_id
WHERE s.state = 'running'
ORDER BY h.name, s.slot
