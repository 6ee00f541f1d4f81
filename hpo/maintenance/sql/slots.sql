-- Slots whose state is not that of their trial.
SELECT h.name AS study, o.number, s.study_id, s.stage, s.slot, t.trial_id, t.outcome, s.state AS detail
FROM hpo_slot AS s
JOIN hpo_study AS h ON h.study_id = s.study_id
LEFT JOIN hpo_trial AS t ON t.study_id = s.study_id AND t.stage = s.stage AND t.slot = s.slot
LEFT JOIN trials AS o ON o.trial_id = t.trial_id
WHERE s.state <> 'running'
    AND (
        (s.state = 'done' AND t.outcome IS NULL)
        OR (s.state IN ('waiting', 'paused') AND t.outcome IS NOT NULL)
        OR (s.state = 'paused' AND t.trial_id IS NULL)
        OR coalesce(s.trial_id, -1) <> coalesce(t.trial_id, -1)
    )
ORDER BY h.name, s.slot
