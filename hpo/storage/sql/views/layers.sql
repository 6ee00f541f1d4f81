-- One row a layer and probe: statistics on a fixed small batch of images.
SELECT
    k.study,
    k.number,
    l.epoch,
    l.step,
    l.position,
    l.layer,
    l.activation_mean,
    l.activation_std,
    l.dead,
    l.saturated,
    l.gradient_norm,
    l.update_ratio,
    l.activation_low,
    l.activation_high,
    l.activation_counts,
    l.trial_id
FROM hpo_layer AS l
JOIN hpo_known_trial AS k ON k.trial_id = l.trial_id
