-- Which trials did more than one worker train?
--
-- Where each go began and ended, and how.
--
-- :study (text)  the study
WITH goes AS (
    SELECT
        number,
        attempt,
        outcome,
        from_epoch,
        to_epoch,
        host,
        device,
        started,
        ended,
        count(*) OVER (PARTITION BY trial_id) AS attempts
    FROM attempts
    WHERE study = :study
)
SELECT number, attempt, outcome, from_epoch, to_epoch, host, device, started, ended
FROM goes
WHERE attempts > 1 OR outcome IN ('released', 'lost', 'hung')
ORDER BY number, attempt
