-- The layers of a trial at its last probe
--
-- worst_dead and worst_saturated are the largest shares that a layer ever had.
--
-- :study (text)      the study
-- :number (integer)  the trial's number
WITH probes AS (
    SELECT
        position,
        layer,
        epoch,
        step,
        activation_mean,
        activation_std,
        dead,
        saturated,
        gradient_norm,
        update_ratio,
        max(dead) OVER (PARTITION BY position) AS worst_dead,
        max(saturated) OVER (PARTITION BY position) AS worst_saturated,
        max(step) OVER () AS last_step
    FROM layers
    WHERE study = :study AND number = :number
)
SELECT
    position,
    layer,
    epoch,
    step,
    activation_mean,
    activation_std,
    dead,
    worst_dead,
    saturated,
    worst_saturated,
    gradient_norm,
    update_ratio
FROM probes
WHERE step = last_step
ORDER BY position
