-- The best trials, with their main hyperparameters
--
-- parameters has those of your own training, as JSON; the other columns are those of image classifiers.
-- Trials of different stages are not comparable: the view confirmations has what was chosen among the best.
--
-- :study (text)                 the study
-- :count (integer, default 10)  how many trials
SELECT
    l.rank,
    r.number,
    r.value,
    r.stage,
    r.test_value,
    CASE WHEN s.dataset = '' THEN r.configuration END AS parameters,
    r.lr,
    r.weight_decay,
    r.activation,
    r.initializer,
    r.batch_norm,
    r.cause
FROM leaderboard AS l
JOIN results AS r ON r.trial_id = l.trial_id
JOIN hpo_study AS s ON s.name = l.study
WHERE l.study = :study
ORDER BY l.rank, r.number
LIMIT :count
