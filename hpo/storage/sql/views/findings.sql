-- One row a finding of a check.
SELECT
    k.study,
    k.number,
    f.check_name,
    f.severity,
    f.epoch,
    f.step,
    f.layer,
    f.value,
    f.threshold,
    f.message,
    f.remedy,
    f.trial_id
FROM hpo_finding AS f
JOIN hpo_known_trial AS k ON k.trial_id = f.trial_id
