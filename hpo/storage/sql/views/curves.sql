-- One row an epoch, written when the epoch ends.
SELECT
    k.study,
    k.number,
    e.epoch,
    e.train_loss,
    e.train_accuracy,
    e.val_loss,
    e.val_accuracy,
    e.lr,
    e.seconds,
    e.images,
    e.images_per_second,
    e.ended_at AS ended,
    e.trial_id
FROM hpo_epoch AS e
JOIN hpo_known_trial AS k ON k.trial_id = e.trial_id
