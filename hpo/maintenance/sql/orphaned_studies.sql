-- Studies of ours that Optuna no longer has (`hpo.storage.orphans` says why the mark is compared).
SELECT h.name AS study, NULL AS number, h.name AS detail
FROM hpo_study AS h
WHERE NOT EXISTS (
    SELECT 1
    FROM studies AS s
    JOIN study_user_attributes AS a ON a.study_id = s.study_id AND a.key = 'hpo_study'
    WHERE s.study_id = h.study_id AND s.study_name = h.name AND a.value_json = '"' || h.uid || '"'
)
ORDER BY h.name
