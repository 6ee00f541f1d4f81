-- Do the best values lie at the edge of what was tried?
--
-- If so, search further out on that side. Of hyperparameters that are drawn from a range.
--
-- position is where the best trials' settings lie among all that were tried, as the share of trials below them: 0 the
-- lowest, 1 the highest, 0.5 the middle. An edge is named if at least half of the best lie in the outer tenth.
--
-- :study (text)               the study
-- :best (integer, default 5)  how many of the best trials to look at
WITH tried AS (
    SELECT
        param,
        stored,
        state,
        percent_rank() OVER (PARTITION BY param ORDER BY stored) AS position,
        row_number() OVER (
            PARTITION BY param ORDER BY CASE WHEN state = 'complete' THEN d.sign * value END DESC NULLS LAST, number
        ) AS place
    FROM params
    -- 1 if higher values are better.
    CROSS JOIN (
        SELECT coalesce(min(CASE direction WHEN 'minimize' THEN -1 ELSE 1 END), 1) AS sign
        FROM hpo_study
        WHERE name = :study
    ) AS d
    WHERE study = :study AND kind <> 'choice'
),
marked AS (
    SELECT
        param,
        stored,
        position,
        CASE WHEN state = 'complete' AND place <= :best THEN 1 ELSE 0 END AS is_best
    FROM tried
)
SELECT
    param,
    count(*) AS trials,
    min(stored) AS lowest,
    max(stored) AS highest,
    min(stored) FILTER (WHERE is_best = 1) AS best_lowest,
    max(stored) FILTER (WHERE is_best = 1) AS best_highest,
    avg(position) FILTER (WHERE is_best = 1) AS position,
    CASE
        WHEN min(stored) = max(stored) THEN NULL
        WHEN 2 * count(*) FILTER (WHERE is_best = 1 AND position <= 0.1) >= sum(is_best) AND sum(is_best) > 0
            THEN 'low'
        WHEN 2 * count(*) FILTER (WHERE is_best = 1 AND position >= 0.9) >= sum(is_best) AND sum(is_best) > 0
            THEN 'high'
    END AS edge
FROM marked
GROUP BY param
ORDER BY param
