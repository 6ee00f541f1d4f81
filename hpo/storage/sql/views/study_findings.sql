-- One row for each thing that the checks of a whole study found, the most useful first.
SELECT
    s.name AS study,
    f.position,
    f.check_name,
    f.severity,
    f.message,
    f.remedy,
    f.change,
    f.evidence,
    f.trials_seen,
    f.made_at AS made,
    f.study_id
FROM hpo_study_finding AS f
JOIN hpo_study AS s ON s.study_id = f.study_id
JOIN studies AS os ON os.study_id = s.study_id AND os.study_name = s.name
