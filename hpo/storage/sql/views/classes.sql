-- One row a class of a trial: what its best epoch predicts for the validation images of the class; of the test images
-- in stage test. predictions has how many images were predicted as each class, by its label, without zeros.
SELECT
    k.study,
    k.number,
    c.epoch,
    c.label,
    c.class_name,
    c.images,
    c.correct,
    c.predicted,
    CAST(c.correct AS DOUBLE PRECISION) / nullif(c.images, 0) AS recall,
    CAST(c.correct AS DOUBLE PRECISION) / nullif(c.predicted, 0) AS precision,
    /* class result */
    c.trial_id
FROM hpo_class AS c
JOIN hpo_known_trial AS k ON k.trial_id = c.trial_id
