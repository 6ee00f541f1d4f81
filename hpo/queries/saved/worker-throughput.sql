-- What did each worker get done?
--
-- Epochs, images a second, and how many of its trials it was lost in.
--
-- :study (text)  the study
WITH goes AS MATERIALIZED (
    SELECT worker, host, device, trial_id, attempt, outcome, from_epoch, to_epoch, started, ended
    FROM attempts
    WHERE study = :study
),
trained AS (
    SELECT g.worker, count(*) AS epochs, sum(e.seconds) AS seconds, sum(e.images) AS images
    FROM goes AS g
    JOIN hpo_epoch AS e ON e.trial_id = g.trial_id AND e.epoch > g.from_epoch AND e.epoch <= g.to_epoch
    GROUP BY g.worker
),
workers AS (
    SELECT
        worker,
        min(host) AS host,
        min(device) AS device,
        count(DISTINCT trial_id) AS trials,
        count(*) AS attempts,
        count(*) FILTER (WHERE outcome = 'lost') AS lost,
        min(started) AS started,
        max(ended) AS last_ended
    FROM goes
    GROUP BY worker
)
SELECT
    w.worker,
    w.host,
    w.device,
    w.trials,
    w.attempts,
    w.lost,
    coalesce(t.epochs, 0) AS epochs,
    t.seconds,
    t.images / nullif(t.seconds, 0) AS images_per_second,
    w.started,
    w.last_ended
FROM workers AS w
LEFT JOIN trained AS t ON t.worker = w.worker
ORDER BY epochs DESC, w.worker
