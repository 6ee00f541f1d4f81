-- One row a layer and probe: statistics on a fixed small batch of images.
SELECT
    k.study,
    k.number,
    l.epoch,
    l.step,
    l.position,
    /* layer statistics */
    l.trial_id
FROM hpo_layer AS l
JOIN hpo_known_trial AS k ON k.trial_id = l.trial_id
