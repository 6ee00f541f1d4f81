-- Which trials overfit most?
--
-- Those whose training accuracy at the last epoch is furthest above their validation accuracy.
--
-- :study (text)                 the study
-- :count (integer, default 10)  how many trials
SELECT
    r.number,
    r.value,
    c.train_accuracy,
    c.val_accuracy,
    c.train_accuracy - c.val_accuracy AS gap,
    c.train_loss,
    c.val_loss,
    r.weight_decay,
    r.dropout,
    r.augmentation,
    r.parameters
FROM results AS r
JOIN hpo_epoch AS c ON c.trial_id = r.trial_id AND c.epoch = r.epochs_done
WHERE r.study = :study AND c.train_accuracy IS NOT NULL AND c.val_accuracy IS NOT NULL
ORDER BY gap DESC, r.number
LIMIT :count
