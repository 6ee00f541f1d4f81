-- One row a trial, with every hyperparameter as a column; NULL where a hyperparameter does not apply.
-- configuration has all of them as JSON, also the parameters of your own training.
-- value is that of the objective; score is the value, or -value where lower is better: the highest score is the best.
SELECT
    k.study,
    t.stage,
    k.number,
    k.state,
    t.value,
    /* objective in e */ AS best_value,
    t.best_epoch,
    t.test_value,
    t.verdict,
    t.cause,
    t.second_cause,
    t.confidence,
    t.remedy,
    t.epochs AS epochs_done,
    /* configuration */
    t.images,
    t.seconds,
    t.images_per_second,
    t.parameters,
    t.milliseconds,
    t.worker,
    t.started_at AS started,
    t.ended_at AS finished,
    t.slot,
    t.weights_hash,
    CAST(t.configuration AS TEXT) AS configuration,
    /* score of t */ AS score,
    t.trial_id
FROM hpo_trial AS t
JOIN hpo_known_trial AS k ON k.trial_id = t.trial_id
JOIN hpo_study AS h ON h.study_id = t.study_id
LEFT JOIN hpo_epoch AS e ON e.trial_id = t.trial_id AND e.epoch = t.best_epoch
