-- What each stage spent and what it gave
--
-- images are those trained on, epochs times images over all trials of the stage: what stages of unlike epochs and data
-- have in common. images_share is the stage's part of what the study spent.
--
-- :study (text)  the study
SELECT
    stage,
    kind,
    trials,
    done,
    epochs,
    train_images,
    best_value,
    images,
    CAST(images AS DOUBLE PRECISION) / nullif(sum(images) OVER (), 0) AS images_share,
    seconds
FROM stages
WHERE study = :study AND done > 0
ORDER BY position
