-- Two studies side by side
--
-- Trials, best and middle values, how many went well, and what they cost.
--
-- :study (text)  one study
-- :other (text)  the other
WITH trials_of AS (
    SELECT
        study,
        state,
        value,
        score,
        cause,
        seconds,
        images_per_second,
        row_number() OVER (PARTITION BY study, state ORDER BY score DESC) AS place,
        percent_rank() OVER (PARTITION BY study, state ORDER BY value) AS standing
    FROM results
    WHERE study IN (:study, :other)
)
SELECT
    study,
    count(*) AS trials,
    count(*) FILTER (WHERE state = 'complete') AS complete,
    count(*) FILTER (WHERE state = 'pruned') AS pruned,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE cause = 'healthy') AS healthy,
    max(value) FILTER (WHERE state = 'complete' AND place = 1) AS best,
    avg(value) FILTER (WHERE state = 'complete' AND place <= 5) AS mean_of_best_five,
    max(value) FILTER (WHERE state = 'complete' AND standing <= 0.5) AS median,
    sum(seconds) / 3600 AS hours,
    avg(images_per_second) AS images_per_second
FROM trials_of
GROUP BY study
ORDER BY max(score) FILTER (WHERE state = 'complete') DESC NULLS LAST, study
