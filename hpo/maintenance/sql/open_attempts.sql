-- Attempts that nobody is at: a later one began, or no worker holds the trial's slot.
SELECT h.name AS study, o.number, a.trial_id, a.attempt, a.worker AS detail
FROM hpo_attempt AS a
JOIN hpo_trial AS t ON t.trial_id = a.trial_id
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
LEFT JOIN hpo_slot AS s ON s.trial_id = t.trial_id
WHERE a.outcome IS NULL
    AND (
        coalesce(s.state, '') <> 'running'
        OR EXISTS (SELECT 1 FROM hpo_attempt AS b WHERE b.trial_id = a.trial_id AND b.attempt > a.attempt)
    )
ORDER BY h.name, o.number, a.attempt
