-- What did each worker get done?
--
-- Epochs, images a second, and how many of its trials it was lost in.
--
-- :study (text)  the study
WITH done AS (
    SELECT
        a.worker,
        a.host,
        a.device,
        a.trial_id,
        a.outcome,
        a.started,
        a.ended,
        count(c.epoch) AS epochs,
        sum(c.seconds) AS seconds,
        sum(c.images) AS images
    FROM attempts AS a
    LEFT JOIN hpo_epoch AS c ON c.trial_id = a.trial_id AND c.epoch > a.from_epoch AND c.epoch <= a.to_epoch
    WHERE a.study = :study
    GROUP BY a.worker, a.host, a.device, a.trial_id, a.attempt, a.outcome, a.started, a.ended
)
SELECT
    worker,
    host,
    device,
    count(DISTINCT trial_id) AS trials,
    count(*) AS attempts,
    count(*) FILTER (WHERE outcome = 'lost') AS lost,
    sum(epochs) AS epochs,
    sum(seconds) AS seconds,
    sum(images) / nullif(sum(seconds), 0) AS images_per_second,
    min(started) AS started,
    max(ended) AS last_ended
FROM done
GROUP BY worker, host, device
ORDER BY epochs DESC, worker
