-- Which trials would gain from more epochs?
--
-- Complete trials whose last epoch was their best, the best first: train these for longer.
--
-- :study (text)                 the study
-- :count (integer, default 10)  how many trials
SELECT
    r.number,
    r.value,
    r.epochs,
    CASE h.direction WHEN 'minimize' THEN b.value - c.value ELSE c.value - b.value END AS last_epoch_gain,
    r.lr,
    r.schedule,
    r.seconds
FROM results AS r
JOIN hpo_study AS h ON h.name = r.study
JOIN curves AS c ON c.trial_id = r.trial_id AND c.epoch = r.epochs_done
LEFT JOIN curves AS b ON b.trial_id = r.trial_id AND b.epoch = r.epochs_done - 1
WHERE r.study = :study AND r.state = 'complete' AND r.best_epoch = r.epochs_done
ORDER BY r.score DESC, r.number
LIMIT :count
