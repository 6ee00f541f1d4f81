-- Trials that Optuna holds for ended, in another way or with another value than here.
SELECT h.name AS study, o.number, t.trial_id, lower(CAST(o.state AS TEXT)) AS state, v.value, t.outcome AS detail
FROM hpo_trial AS t
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN trials AS o ON o.trial_id = t.trial_id AND o.study_id = t.study_id
LEFT JOIN hpo_slot AS s ON s.study_id = t.study_id AND s.stage = t.stage AND s.slot = t.slot
LEFT JOIN trial_values AS v ON v.trial_id = o.trial_id AND v.objective = 0
WHERE CAST(o.state AS TEXT) IN ('COMPLETE', 'PRUNED', 'FAIL')
    -- The worker that holds it will end it.
    AND coalesce(s.state, '') <> 'running'
    AND (
        coalesce(t.outcome, '')
        <> CASE CAST(o.state AS TEXT) WHEN 'COMPLETE' THEN 'complete' WHEN 'PRUNED' THEN 'pruned' ELSE 'failed' END
        OR (t.outcome = 'complete' AND t.value <> v.value)
    )
ORDER BY h.name, o.number
