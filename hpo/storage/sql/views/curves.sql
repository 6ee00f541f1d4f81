-- One row an epoch, written when the epoch ends; value is that of the objective.
SELECT
    k.study,
    k.number,
    /* epoch result */
    /* objective in e */ AS value,
    e.ended_at AS ended,
    e.trial_id
FROM hpo_epoch AS e
JOIN hpo_known_trial AS k ON k.trial_id = e.trial_id
JOIN hpo_trial AS t ON t.trial_id = e.trial_id
JOIN hpo_study AS h ON h.study_id = t.study_id
