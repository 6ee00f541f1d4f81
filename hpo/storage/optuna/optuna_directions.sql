-- Whether each objective of a study is to be small or large.
SELECT lower(CAST(d.direction AS TEXT))
FROM study_directions AS d
JOIN studies AS s ON s.study_id = d.study_id
WHERE s.study_name = :study
ORDER BY d.objective
