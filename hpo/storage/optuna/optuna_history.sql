-- The trials of one of Optuna's studies, with each of their values.
SELECT
    o.trial_id,
    o.number,
    lower(CAST(o.state AS TEXT)) AS state,
    o.datetime_start AS started,
    o.datetime_complete AS ended,
    v.objective,
    v.value
FROM trials AS o
JOIN studies AS s ON s.study_id = o.study_id
LEFT JOIN trial_values AS v ON v.trial_id = o.trial_id AND CAST(v.value_type AS TEXT) = 'FINITE'
WHERE s.study_name = :study
ORDER BY o.number, v.objective
