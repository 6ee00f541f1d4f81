-- What did ending hopeless trials early save?
--
-- Epochs not trained, by cause; seconds are estimated at the study's mean time for an epoch.
--
-- :study (text)  the study
WITH pace AS MATERIALIZED (
    SELECT sum(seconds) / sum(epochs_done) AS seconds_per_epoch
    FROM results
    WHERE study = :study AND epochs_done > 0
)
SELECT
    CASE
        WHEN r.cause IN ('healthy', 'not_checked') THEN 'ended by the search'
        ELSE coalesce(r.cause, r.state)
    END AS cause,
    count(*) AS pruned,
    sum(r.epochs) AS epochs_planned,
    sum(r.epochs_done) AS epochs_trained,
    sum(r.epochs - r.epochs_done) AS epochs_saved,
    sum(r.seconds) AS seconds_spent,
    sum((r.epochs - r.epochs_done) * p.seconds_per_epoch) AS seconds_saved
FROM results AS r
CROSS JOIN pace AS p
WHERE r.study = :study AND r.state = 'pruned'
GROUP BY 1
ORDER BY epochs_saved DESC
