-- What did each check find, and in which trials?
--
-- How often, in how many trials, and how well the trials did that it remarked on.
--
-- :study (text)  the study
SELECT
    f.check_name,
    f.severity,
    count(*) AS findings,
    count(DISTINCT f.trial_id) AS trials,
    count(DISTINCT f.trial_id) FILTER (WHERE t.outcome = 'complete') AS complete_trials,
    CASE min(h.direction)
        WHEN 'minimize' THEN min(t.value) FILTER (WHERE t.outcome = 'complete')
        ELSE max(t.value) FILTER (WHERE t.outcome = 'complete')
    END AS best_value,
    min(f.number) AS example
FROM findings AS f
JOIN hpo_trial AS t ON t.trial_id = f.trial_id
JOIN hpo_study AS h ON h.study_id = t.study_id
WHERE f.study = :study
GROUP BY f.check_name, f.severity
ORDER BY
    CASE f.severity WHEN 'fatal' THEN 0 WHEN 'warn' THEN 1 WHEN 'note' THEN 2 ELSE 3 END,
    findings DESC,
    f.check_name
