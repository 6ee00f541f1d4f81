-- Complete trials of the search, and what each has of the second objective. Studies with tradeoff or limit only.
-- on_front is 1 if no other trial has a value as good for less of it (for more, if tradeoff_direction is maximize).
SELECT
    k.study,
    t.stage,
    k.number,
    t.value,
    h.tradeoff AS quantity,
    a.amount,
    CASE
        WHEN a.amount IS NULL THEN 0
        WHEN a.score > max(a.score) OVER (
            PARTITION BY a.study_id
            ORDER BY a.is_unknown, a.cost, a.score DESC, k.number
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) THEN 1
        WHEN row_number() OVER (
            PARTITION BY a.study_id
            ORDER BY a.is_unknown, a.cost, a.score DESC, k.number
        ) = 1 THEN 1
        ELSE 0
    END AS on_front,
    t.best_epoch,
    t.seconds,
    t.verdict,
    t.cause,
    t.trial_id
FROM hpo_trial AS t
JOIN hpo_known_trial AS k ON k.trial_id = t.trial_id
JOIN hpo_study AS h ON h.study_id = t.study_id
JOIN (
    SELECT
        m.*,
        CASE WHEN m.direction = 'maximize' THEN -m.amount ELSE m.amount END AS cost,
        CASE WHEN m.amount IS NULL THEN 1 ELSE 0 END AS is_unknown
    FROM (
        SELECT
            t.study_id,
            t.trial_id,
            h.tradeoff_direction AS direction,
            /* score of t */ AS score,
            /* tradeoff of t, e */ AS amount
        FROM hpo_trial AS t
        JOIN hpo_known_trial AS k ON k.trial_id = t.trial_id
        JOIN hpo_study AS h ON h.study_id = t.study_id
        LEFT JOIN hpo_epoch AS e ON e.trial_id = t.trial_id AND e.epoch = t.best_epoch
        LEFT JOIN hpo_stage AS g ON g.study_id = t.study_id AND g.stage = t.stage
        -- A confirmation trains configurations of the search again.
        WHERE k.state = 'complete'
            AND h.tradeoff IS NOT NULL
            AND t.stage <> 'test'
            AND coalesce(g.kind, 'search') = 'search'
    ) AS m
) AS a ON a.trial_id = t.trial_id
