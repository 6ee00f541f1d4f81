-- The best of the trials that are paused at each rung, and where it stands among all that came there.
WITH waiting AS (
    SELECT
        s.slot,
        r.trial_id,
        r.bracket,
        r.epochs,
        r.epoch,
        r.score,
        row_number() OVER (PARTITION BY r.bracket, r.epochs, r.epoch ORDER BY r.score DESC, r.trial_id) AS place
    FROM hpo_slot AS s
    JOIN hpo_rung AS r ON r.trial_id = s.trial_id AND r.decision = 'paused'
    -- `<> 'done'` is what the partial index says.
    WHERE s.study_id = :study_id AND s.stage = :stage AND s.state <> 'done' AND s.state = 'paused'
)
SELECT
    w.epoch,
    1 + sum(CASE WHEN o.score > w.score OR (o.score = w.score AND o.trial_id < w.trial_id) THEN 1 ELSE 0 END) AS rank,
    count(*) AS compared,
    w.slot,
    w.trial_id
FROM waiting AS w
JOIN hpo_rung AS o
    ON o.study_id = :study_id
    AND o.stage = :stage
    AND o.bracket = w.bracket
    AND o.epochs = w.epochs
    AND o.epoch = w.epoch
WHERE w.place = 1
GROUP BY w.epoch, w.bracket, w.epochs, w.slot, w.trial_id
ORDER BY w.epoch DESC, w.slot
