-- The best trials and their main hyperparameters
--
-- :study (text)                 the study
-- :count (integer, default 10)  how many trials
SELECT
    l.rank,
    r.number,
    r.value,
    r.test_value,
    r.lr,
    r.weight_decay,
    r.activation,
    r.initializer,
    r.batch_norm,
    r.cause
FROM leaderboard AS l
JOIN results AS r ON r.trial_id = l.trial_id
WHERE l.study = :study
ORDER BY l.rank, r.number
LIMIT :count
