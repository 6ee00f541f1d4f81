-- One row a parameter of any Optuna trial, also of studies that hpo did not make.
-- A categorical's param_value is the index of its choice in distribution_json.
SELECT
    s.study_name AS study,
    o.number,
    CASE WHEN o.state = 'FAIL' THEN 'failed' ELSE lower(o.state) END AS state,
    v.value,
    p.param_name AS param,
    CASE
        WHEN substr(p.distribution_json, 1, 21) = '{"name": "Categorical' THEN 'choice'
        WHEN substr(p.distribution_json, 1, 13) = '{"name": "Int' THEN 'integer'
        ELSE 'number'
    END AS kind,
    CASE
        WHEN substr(p.distribution_json, 1, 21) <> '{"name": "Categorical'
            THEN
                CASE substr(p.distribution_json, 1, 13)
                    WHEN '{"name": "Int' THEN CAST(CAST(p.param_value AS INTEGER) AS TEXT)
                    ELSE CAST(p.param_value AS TEXT)
                END
        -- NaN and Infinity among the choices are no JSON.
        WHEN (instr(p.distribution_json, 'NaN') OR instr(p.distribution_json, 'Infinity'))
            AND NOT json_valid(p.distribution_json)
            THEN NULL
        WHEN json_type(p.distribution_json, p.place) = 'text' THEN json_extract(p.distribution_json, p.place)
        -- With two paths json_extract gives JSON, "[1e-05,null]": the choice as it was written.
        ELSE
            substr(
                json_extract(p.distribution_json, p.place, '$.none'),
                2,
                length(json_extract(p.distribution_json, p.place, '$.none')) - length('[,null]')
            )
    END AS value_text,
    CASE
        WHEN substr(p.distribution_json, 1, 21) <> '{"name": "Categorical' THEN p.param_value
        WHEN (instr(p.distribution_json, 'NaN') OR instr(p.distribution_json, 'Infinity'))
            AND NOT json_valid(p.distribution_json)
            THEN NULL
        WHEN json_type(p.distribution_json, p.place) IN ('integer', 'real')
            THEN CAST(json_extract(p.distribution_json, p.place) AS REAL)
    END AS value_number,
    p.param_value AS stored,
    o.trial_id
FROM (
    SELECT
        trial_id,
        param_name,
        param_value,
        distribution_json,
        '$.attributes.choices[' || CAST(param_value AS INTEGER) || ']' AS place
    FROM trial_params
) AS p
JOIN trials AS o ON o.trial_id = p.trial_id
JOIN studies AS s ON s.study_id = o.study_id
LEFT JOIN trial_values AS v ON v.trial_id = o.trial_id AND v.objective = 0
