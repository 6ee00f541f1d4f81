-- One row a worker's go at a trial.
SELECT
    k.study,
    k.number,
    a.attempt,
    a.outcome,
    a.from_epoch,
    a.to_epoch,
    a.worker,
    a.host,
    a.pid,
    a.device,
    a.processor,
    a.threads,
    a.precision,
    a.code_version,
    a.started_at AS started,
    a.ended_at AS ended,
    a.trial_id
FROM hpo_attempt AS a
JOIN hpo_known_trial AS k ON k.trial_id = a.trial_id
