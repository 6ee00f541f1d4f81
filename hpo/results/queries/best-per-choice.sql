-- Which choice of each searched hyperparameter does best?
--
-- A number that was drawn from a range has too many values to be listed: see lr-slices and importance.
--
-- :study (text)                the study
-- :most (integer, default 12)  leave out hyperparameters with more different values than this
WITH chosen AS (
    SELECT param, value_text, value_number, state, value
    FROM params
    WHERE study = :study
),
few AS (
    SELECT param
    FROM chosen
    GROUP BY param
    -- Words, or numbers that come again and again.
    HAVING count(DISTINCT value_text) <= :most
        AND (count(value_number) = 0 OR 2 * count(DISTINCT value_text) <= count(*))
)
SELECT
    param,
    value_text AS choice,
    count(*) AS trials,
    count(*) FILTER (WHERE state = 'complete') AS complete,
    max(value) FILTER (WHERE state = 'complete') AS best,
    avg(value) FILTER (WHERE state = 'complete') AS mean
FROM chosen
WHERE param IN (SELECT param FROM few)
GROUP BY param, value_text
ORDER BY param, best DESC NULLS LAST, choice
