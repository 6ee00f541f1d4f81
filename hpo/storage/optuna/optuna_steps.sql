-- What the trials of one of Optuna's studies reported on their way.
SELECT i.trial_id, i.step, i.intermediate_value
FROM trial_intermediate_values AS i
JOIN trials AS o ON o.trial_id = i.trial_id
JOIN studies AS s ON s.study_id = o.study_id
WHERE s.study_name = :study AND CAST(i.intermediate_value_type AS TEXT) = 'FINITE'
ORDER BY i.trial_id, i.step
