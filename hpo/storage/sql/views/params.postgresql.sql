-- One row a parameter of any Optuna trial, also of studies that hpo did not make.
-- A categorical's param_value is the index of its choice in distribution_json.
SELECT
    s.study_name AS study,
    o.number,
    CASE WHEN CAST(o.state AS TEXT) = 'FAIL' THEN 'failed' ELSE lower(CAST(o.state AS TEXT)) END AS state,
    v.value,
    p.param_name AS param,
    CASE
        WHEN p.distribution_json LIKE '{"name": "Categorical%' THEN 'choice'
        WHEN p.distribution_json LIKE '{"name": "Int%' THEN 'integer'
        ELSE 'number'
    END AS kind,
    CASE
        WHEN p.choice IS NOT NULL THEN coalesce(p.choice #>> '{}', 'null')
        WHEN p.distribution_json LIKE '{"name": "Int%' THEN CAST(CAST(p.param_value AS BIGINT) AS TEXT)
        WHEN p.distribution_json NOT LIKE '{"name": "Categorical%' THEN CAST(p.param_value AS TEXT)
    END AS value_text,
    CASE
        WHEN json_typeof(p.choice) = 'number' THEN CAST(p.choice #>> '{}' AS DOUBLE PRECISION)
        WHEN p.distribution_json NOT LIKE '{"name": "Categorical%' THEN p.param_value
    END AS value_number,
    p.param_value AS stored,
    o.trial_id
FROM (
    SELECT
        trial_id,
        param_name,
        param_value,
        distribution_json,
        CASE
            WHEN distribution_json LIKE '{"name": "Categorical%'
                -- NaN and Infinity among the choices are no JSON.
                AND distribution_json !~ '[[ ](NaN|-?Infinity)[],]'
                THEN CAST(distribution_json AS json) -> 'attributes' -> 'choices' -> CAST(param_value AS INTEGER)
        END AS choice
    FROM trial_params
) AS p
JOIN trials AS o ON o.trial_id = p.trial_id
JOIN studies AS s ON s.study_id = o.study_id
LEFT JOIN trial_values AS v ON v.trial_id = o.trial_id AND v.objective = 0
