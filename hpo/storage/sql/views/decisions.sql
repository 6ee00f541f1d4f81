-- One row for each thing that was decided when a stage began.
SELECT
    h.name AS study,
    d.stage,
    d.position,
    d.subject,
    d.action,
    d.message,
    d.evidence,
    h.study_id
FROM hpo_decision AS d
JOIN hpo_study AS h ON h.study_id = d.study_id
JOIN studies AS os ON os.study_id = h.study_id AND os.study_name = h.name
