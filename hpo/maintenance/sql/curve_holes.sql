-- Trials that ended and whose curve lacks an epoch before its last.
SELECT h.name AS study, o.number, max(e.epoch) - count(*) AS detail
FROM hpo_epoch AS e
JOIN hpo_trial AS t ON t.trial_id = e.trial_id
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
WHERE t.outcome IS NOT NULL
GROUP BY h.name, o.number
HAVING count(*) <> max(e.epoch)
ORDER BY h.name, o.number
