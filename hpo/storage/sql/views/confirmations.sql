-- One row a configuration that was trained again, with what its runs say; NULL until all are over.
SELECT
    k.study,
    c.stage,
    c.rank,
    k.number,
    c.search_value,
    c.runs,
    c.completed,
    c.mean,
    c.low,
    c.high,
    /* gain of c.search_value over c.mean */ AS gap,
    c.difference,
    c.p_value,
    CASE WHEN c.rank = 1 THEN w.test_value END AS test_value,
    c.trial_id
FROM hpo_candidate AS c
JOIN hpo_known_trial AS k ON k.trial_id = c.trial_id
JOIN hpo_study AS h ON h.study_id = c.study_id
LEFT JOIN hpo_trial AS w ON w.study_id = c.study_id AND w.stage = 'test' AND w.slot = 0
