-- Which code, data and seed made a result?
--
-- Enough to explain and repeat a trial.
--
-- :study (text)      the study
-- :number (integer)  the trial's number
SELECT
    r.study,
    r.stage,
    r.number,
    r.slot,
    s.seed,
    s.code_version,
    CAST(s.package_versions AS TEXT) AS package_versions,
    nullif(s.dataset, '') AS dataset,
    nullif(s.dataset_fingerprint, '') AS dataset_fingerprint,
    nullif(s.dataset_origin, '') AS dataset_origin,
    t.device,
    r.worker,
    r.started,
    r.finished,
    r.value,
    r.weights_hash
FROM results AS r
JOIN hpo_trial AS t ON t.trial_id = r.trial_id
JOIN hpo_study AS s ON s.study_id = t.study_id
WHERE r.study = :study AND r.number = :number
