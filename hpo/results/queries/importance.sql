-- Which hyperparameters go with the value, how strongly?
--
-- variance_share is the share of the variance of the value that lies between groups of trials, corrected for the
-- number of groups (epsilon squared, an adjusted R squared): 0 for a hyperparameter that makes no difference, 1 for
-- one that decides everything. Groups are the choices, or five of equal size for a number from a range.
-- rank_correlation is Spearman's (of ranges only): its sign says which way is up. Both look at one hyperparameter at
-- a time and see no interaction; trials without a value, such as those that exploded, are not counted.
--
-- :study (text)  the study
WITH tried AS MATERIALIZED (
    SELECT param, kind, stored, value
    FROM params
    WHERE study = :study AND state IN ('complete', 'pruned') AND value IS NOT NULL
),
ranked AS MATERIALIZED (
    SELECT
        param,
        value,
        ntile(5) OVER by_setting AS fifth,
        -- Equal settings share the mean of their ranks, the first and the last of them.
        (rank() OVER by_setting + count(*) OVER by_setting) / 2.0 AS setting_rank,
        (rank() OVER by_value + count(*) OVER by_value) / 2.0 AS value_rank
    FROM tried
    WHERE kind <> 'choice'
    WINDOW
        by_setting AS (PARTITION BY param ORDER BY stored),
        by_value AS (PARTITION BY param ORDER BY value)
),
correlated AS (
    SELECT
        param,
        CASE
            WHEN count(*) > 2 AND min(setting_rank) < max(setting_rank)
                THEN 1 - 6 * sum((setting_rank - value_rank) * (setting_rank - value_rank))
                    / (1.0 * count(*) * (1.0 * count(*) * count(*) - 1))
        END AS rank_correlation
    FROM ranked
    GROUP BY param
),
grouped AS (
    SELECT param, count(*) AS trials, avg(value) AS mean, sum(value * value) AS squares
    FROM tried
    WHERE kind = 'choice'
    GROUP BY param, stored
    UNION ALL
    SELECT param, count(*), avg(value), sum(value * value)
    FROM ranked
    GROUP BY param, fifth
),
summed AS (
    SELECT
        param,
        sum(trials) AS trials,
        count(*) AS grps,
        sum(squares) AS squares,
        -- Sums of squares: of all values around their mean, and of the groups' means around it.
        sum(squares) - sum(trials * mean) * sum(trials * mean) / sum(trials) AS total,
        sum(trials * mean * mean) - sum(trials * mean) * sum(trials * mean) / sum(trials) AS between_groups
    FROM grouped
    GROUP BY param
),
shares AS (
    SELECT
        param,
        trials,
        grps,
        CASE
            -- Below that share the total is a rounding error: every value is the same.
            WHEN total > 1e-12 * squares AND trials > grps
                THEN 1 - (1 - between_groups / total) * (trials - 1) / (trials - grps)
        END AS share
    FROM summed
)
SELECT
    s.param,
    s.trials,
    s.grps AS groups_compared,
    CASE WHEN s.share < 0 THEN 0.0 ELSE s.share END AS variance_share,
    c.rank_correlation
FROM shares AS s
LEFT JOIN correlated AS c ON c.param = s.param
ORDER BY variance_share DESC NULLS LAST, s.param
