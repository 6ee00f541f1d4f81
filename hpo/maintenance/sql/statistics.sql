-- Complete trials of which it is not known what their preprocessing learned.
SELECT h.name AS study, o.number, t.statistics_hash AS detail
FROM hpo_trial AS t
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
LEFT JOIN hpo_statistics AS l ON l.study_id = t.study_id AND l.hash = t.statistics_hash
WHERE t.outcome = 'complete' AND l.hash IS NULL
    AND h.dataset <> '' -- else it is the user's own training, which hpo gives no images
ORDER BY h.name, o.number
