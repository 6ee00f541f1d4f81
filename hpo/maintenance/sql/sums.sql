-- Trials that ended and whose count of epochs or images is not that of their curve.
SELECT h.name AS study, o.number, t.trial_id, t.epochs AS detail, count(e.epoch) AS epochs
FROM hpo_trial AS t
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
LEFT JOIN hpo_epoch AS e ON e.trial_id = t.trial_id
WHERE t.outcome IS NOT NULL
GROUP BY h.name, o.number, t.trial_id, t.epochs, t.images
HAVING coalesce(t.epochs, -1) <> count(e.epoch) OR coalesce(t.images, -1) <> coalesce(sum(e.images), 0)
ORDER BY h.name, o.number
