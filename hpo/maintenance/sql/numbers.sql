-- Numbers that two trials of a study share; Optuna's table does not forbid it.
SELECT s.study_name AS study, o.number, count(*) AS detail
FROM trials AS o
JOIN studies AS s ON s.study_id = o.study_id
GROUP BY s.study_name, o.number
HAVING count(*) > 1
ORDER BY s.study_name, o.number
