-- Which hyperparameters go with the value, how strongly?
--
-- variance_share is the share of the variance of the value that lies between groups of trials, corrected for the
-- number of groups (epsilon squared, an adjusted R squared): 0 for a hyperparameter that makes no difference, 1 for
-- one that decides everything. Groups are the choices, or five of equal size for a number with more than five values.
-- rank_correlation is Spearman's (of numbers only): its sign says which way is up. Both look at one hyperparameter at
-- a time and see no interaction; trials without a value, such as those that exploded, are not counted.
--
-- :study (text)  the study
WITH tried AS (
    SELECT
        param,
        value_text,
        value_number,
        value,
        count(*) OVER (PARTITION BY param) AS trials,
        avg(value) OVER (PARTITION BY param) AS mean,
        ntile(5) OVER (PARTITION BY param ORDER BY value_number) AS fifth,
        rank() OVER (PARTITION BY param ORDER BY value_number)
            + (count(*) OVER (PARTITION BY param, value_number) - 1) / 2.0 AS setting_rank,
        rank() OVER (PARTITION BY param ORDER BY value)
            + (count(*) OVER (PARTITION BY param, value) - 1) / 2.0 AS value_rank
    FROM params
    WHERE study = :study AND state IN ('complete', 'pruned') AND value IS NOT NULL
),
counted AS (
    SELECT
        param,
        count(*) AS trials,
        count(DISTINCT value_text) AS settings,
        sum((value - mean) * (value - mean)) AS total,
        CASE
            WHEN count(*) > 2 AND count(value_number) = count(*) AND count(DISTINCT value_number) > 1
                THEN 1 - 6 * sum((setting_rank - value_rank) * (setting_rank - value_rank))
                    / (1.0 * count(*) * (1.0 * count(*) * count(*) - 1))
        END AS rank_correlation
    FROM tried
    GROUP BY param
),
grouped AS (
    SELECT
        t.param,
        count(*) * (avg(t.value) - max(t.mean)) * (avg(t.value) - max(t.mean)) AS between_groups
    FROM tried AS t
    JOIN counted AS c ON c.param = t.param
    GROUP BY
        t.param,
        CASE WHEN c.settings > 5 AND t.value_number IS NOT NULL THEN CAST(t.fifth AS TEXT) ELSE t.value_text END
),
explained AS (
    SELECT param, count(*) AS grps, sum(between_groups) AS between_groups
    FROM grouped
    GROUP BY param
),
shares AS (
    SELECT
        c.param,
        c.trials,
        e.grps,
        CASE
            WHEN c.total > 0 AND c.trials > e.grps
                THEN 1 - (1 - e.between_groups / c.total) * (c.trials - 1) / (c.trials - e.grps)
        END AS share,
        c.rank_correlation
    FROM counted AS c
    JOIN explained AS e ON e.param = c.param
)
SELECT
    param,
    trials,
    grps AS groups_compared,
    CASE WHEN share < 0 THEN 0.0 ELSE share END AS variance_share,
    rank_correlation
FROM shares
ORDER BY variance_share DESC NULLS LAST, param
