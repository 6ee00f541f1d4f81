-- How the best value grew
--
-- Each complete trial that was better than all before it, in the order in which they finished.
--
-- :study (text)  the study
WITH finished_trials AS (
    SELECT
        row_number() OVER (ORDER BY finished, number) AS trials_so_far,
        number,
        value,
        score,
        finished,
        max(score) OVER (
            ORDER BY finished, number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS best_before
    FROM results
    WHERE study = :study AND state = 'complete'
)
SELECT trials_so_far, number, value, score - best_before AS gain, finished
FROM finished_trials
WHERE best_before IS NULL OR score > best_before
ORDER BY trials_so_far
