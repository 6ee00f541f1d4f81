-- What does a better value cost? The front of trade-offs
--
-- Each trial is the best of those with no more than its amount of the quantity (no less, if more is better): of a
-- limit, the last row within it is the choice. For studies with `tradeoff` or `limit`.
--
-- :study (text)  the study
SELECT
    t.number,
    t.value,
    t.quantity,
    t.amount,
    t.stage,
    r.model,
    r.width,
    r.depth,
    r.lr,
    CASE WHEN h.dataset = '' THEN r.configuration END AS own_parameters
FROM tradeoffs AS t
JOIN results AS r ON r.trial_id = t.trial_id
JOIN hpo_study AS h ON h.name = t.study
WHERE t.study = :study AND t.on_front = 1
ORDER BY CASE WHEN h.tradeoff_direction = 'maximize' THEN -t.amount ELSE t.amount END
