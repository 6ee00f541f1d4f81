-- Every study of Optuna's tables, its trials by state, and the best value where it has one objective.
SELECT
    s.study_name AS name,
    sum(CASE WHEN CAST(o.state AS TEXT) = 'WAITING' THEN 1 ELSE 0 END) AS waiting,
    sum(CASE WHEN CAST(o.state AS TEXT) = 'RUNNING' THEN 1 ELSE 0 END) AS running,
    sum(CASE WHEN CAST(o.state AS TEXT) = 'COMPLETE' THEN 1 ELSE 0 END) AS complete,
    sum(CASE WHEN CAST(o.state AS TEXT) = 'PRUNED' THEN 1 ELSE 0 END) AS pruned,
    sum(CASE WHEN CAST(o.state AS TEXT) = 'FAIL' THEN 1 ELSE 0 END) AS failed,
    CASE
        WHEN (SELECT count(*) FROM study_directions AS d WHERE d.study_id = s.study_id) > 1 THEN NULL
        WHEN (SELECT CAST(d.direction AS TEXT) FROM study_directions AS d WHERE d.study_id = s.study_id) = 'MINIMIZE'
            THEN min(CASE WHEN CAST(o.state AS TEXT) = 'COMPLETE' THEN v.value END)
        ELSE max(CASE WHEN CAST(o.state AS TEXT) = 'COMPLETE' THEN v.value END)
    END AS best_value
FROM studies AS s
LEFT JOIN trials AS o ON o.study_id = s.study_id
LEFT JOIN trial_values AS v ON v.trial_id = o.trial_id AND v.objective = 0
GROUP BY s.study_id, s.study_name
ORDER BY s.study_id
