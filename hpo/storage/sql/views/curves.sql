-- One row an epoch, written when the epoch ends.
SELECT
    k.study,
    k.number,
    /* epoch result */
    e.ended_at AS ended,
    e.trial_id
FROM hpo_epoch AS e
JOIN hpo_known_trial AS k ON k.trial_id = e.trial_id
