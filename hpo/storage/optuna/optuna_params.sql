-- What was drawn in the trials of one of Optuna's studies.
SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json
FROM trial_params AS p
JOIN trials AS o ON o.trial_id = p.trial_id
JOIN studies AS s ON s.study_id = o.study_id
WHERE s.study_name = :study
ORDER BY p.param_id
