-- Which hyperparameters go with the value, how strongly?
--
-- variance_share is the share of the variance of the value that lies between groups of trials, corrected for the
-- number of groups (epsilon squared, an adjusted R squared): 0 for a hyperparameter that makes no difference, 1 for
-- one that decides everything. Groups are the choices, or five of equal size for a number from a range.
-- rank_correlation is Spearman's (of ranges only): its sign says which way is better. Both look at one hyperparameter
-- at a time and see no interaction. A trial that the search stopped early counts with the best that it had come to, one
-- that a check ended, such as one that exploded, as the worst value of the study; one that failed or is beyond the
-- limit is left out.
--
-- :study (text)  the study
WITH counted AS MATERIALIZED (
    -- As scores: higher is better, whatever the study optimizes.
    SELECT
        r.trial_id,
        CASE h.direction WHEN 'minimize' THEN -1 ELSE 1 END
        * CASE
            WHEN r.state = 'pruned' AND r.cause IN ('healthy', 'not_checked') THEN r.best_value
            ELSE r.value
        END AS value
    FROM results AS r
    JOIN hpo_study AS h ON h.name = r.study
    WHERE r.study = :study AND r.state IN ('complete', 'pruned') AND coalesce(r.cause, '') <> 'beyond_limit'
),
worst AS MATERIALIZED (
    SELECT min(value) AS value
    FROM counted
),
tried AS MATERIALIZED (
    SELECT p.param, p.kind, p.stored, coalesce(c.value, w.value) AS value
    FROM worst AS w
    CROSS JOIN counted AS c
    CROSS JOIN params AS p
    WHERE w.value IS NOT NULL AND p.trial_id = c.trial_id AND p.study = :study
),
ranked AS (
    SELECT
        param,
        value,
        count(*) OVER (PARTITION BY param) AS trials,
        -- Equal settings share the mean of their ranks, the first and the last of them.
        (rank() OVER by_setting + count(*) OVER by_setting) / 2.0 AS setting_rank,
        (rank() OVER by_value + count(*) OVER by_value) / 2.0 AS value_rank
    FROM tried
    WHERE kind <> 'choice'
    WINDOW
        by_setting AS (PARTITION BY param ORDER BY stored),
        by_value AS (PARTITION BY param ORDER BY value)
),
fifths AS MATERIALIZED (
    SELECT
        param,
        count(*) AS trials,
        avg(value) AS mean,
        sum(value * value) AS squares,
        sum(setting_rank * value_rank) AS products,
        sum(setting_rank * setting_rank) AS setting_squares,
        sum(value_rank * value_rank) AS value_squares
    FROM ranked
    GROUP BY param, ceil(5 * setting_rank / trials)
),
sums AS (
    SELECT
        param,
        sum(products) AS products,
        sum(setting_squares) AS setting_squares,
        sum(value_squares) AS value_squares,
        -- What each sum is where ranks are independent: both rankings have the mean (n + 1) / 2.
        sum(trials) * ((sum(trials) + 1) / 2.0) * ((sum(trials) + 1) / 2.0) AS expected
    FROM fifths
    GROUP BY param
),
correlated AS (
    SELECT
        param,
        (products - expected) / nullif(sqrt((setting_squares - expected) * (value_squares - expected)), 0)
            AS rank_correlation
    FROM sums
),
grouped AS (
    SELECT param, count(*) AS trials, avg(value) AS mean, sum(value * value) AS squares
    FROM tried
    WHERE kind = 'choice'
    GROUP BY param, stored
    UNION ALL
    SELECT param, trials, mean, squares
    FROM fifths
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
