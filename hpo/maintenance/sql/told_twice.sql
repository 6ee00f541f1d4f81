-- Trials that two attempts ended.
SELECT h.name AS study, o.number, count(*) AS detail
FROM hpo_attempt AS a
JOIN hpo_trial AS t ON t.trial_id = a.trial_id
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
WHERE a.outcome IN ('complete', 'pruned', 'failed')
GROUP BY h.name, o.number
HAVING count(*) > 1
ORDER BY h.name, o.number
