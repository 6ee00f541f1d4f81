-- Trials in our studies that hpo did not make: added in the dashboard, or by a program of one's own.
SELECT h.name AS study, o.number, lower(CAST(o.state AS TEXT)) AS detail
FROM trials AS o
JOIN hpo_study AS h ON h.study_id = o.study_id
JOIN studies AS s ON s.study_id = o.study_id AND s.study_name = h.name
LEFT JOIN hpo_trial AS t ON t.trial_id = o.trial_id AND t.study_id = o.study_id
WHERE t.trial_id IS NULL
ORDER BY h.name, o.number
