-- One row a parameter of any Optuna trial, also of studies that hpo did not make.
-- A categorical's param_value is the index of its choice in distribution_json.
SELECT
    s.study_name AS study,
    o.number,
    CASE WHEN o.state = 'FAIL' THEN 'failed' ELSE lower(o.state) END AS state,
    v.value,
    p.param_name AS param,
    CASE p.kind
        WHEN 'text' THEN json_extract(p.distribution_json, p.place)
        WHEN 'number' THEN CAST(p.param_value AS TEXT)
        WHEN 'whole' THEN CAST(CAST(p.param_value AS INTEGER) AS TEXT)
        WHEN 'unreadable' THEN NULL
        ELSE substr(p.choice_and_null, 2, length(p.choice_and_null) - length('[,null]'))
    END AS value_text,
    CASE
        WHEN p.kind IN ('number', 'whole') THEN p.param_value
        WHEN p.kind IN ('integer', 'real') THEN CAST(json_extract(p.distribution_json, p.place) AS REAL)
    END AS value_number,
    o.trial_id
FROM (
    SELECT
        trial_id,
        param_name,
        param_value,
        distribution_json,
        '$.attributes.choices[' || CAST(param_value AS INTEGER) || ']' AS place,
        CASE
            -- NaN and Infinity among the choices are no JSON.
            WHEN NOT json_valid(distribution_json) THEN 'unreadable'
            WHEN json_extract(distribution_json, '$.name') = 'CategoricalDistribution'
                THEN json_type(distribution_json, '$.attributes.choices[' || CAST(param_value AS INTEGER) || ']')
            WHEN json_extract(distribution_json, '$.name') LIKE 'Int%' THEN 'whole'
            ELSE 'number'
        END AS kind,
        -- With two paths json_extract gives JSON, "[1e-05,null]": the choice as it was written.
        CASE
            WHEN json_valid(distribution_json)
                THEN json_extract(
                    distribution_json,
                    '$.attributes.choices[' || CAST(param_value AS INTEGER) || ']',
                    '$.none'
                )
        END AS choice_and_null
    FROM trial_params
) AS p
JOIN trials AS o ON o.trial_id = p.trial_id
JOIN studies AS s ON s.study_id = o.study_id
LEFT JOIN trial_values AS v ON v.trial_id = o.trial_id AND v.objective = 0
