-- One row a stage that has begun. `main` of a study without stages has what its trials say, and no more.
SELECT
    h.name AS study,
    w.stage,
    coalesce(g.position, 1) AS position,
    coalesce(g.kind, 'search') AS kind,
    coalesce(g.trials, w.trials) AS trials,
    w.done,
    CASE h.direction WHEN 'minimize' THEN w.lowest ELSE w.highest END AS best_value,
    g.epochs,
    g.train_images,
    w.images,
    w.seconds,
    g.space,
    g.fixed,
    g.made_at AS made,
    h.study_id
FROM (
    SELECT
        n.study_id,
        n.stage,
        count(q.slot) AS trials,
        coalesce(sum(CASE WHEN q.state = 'done' THEN 1 ELSE 0 END), 0) AS done,
        max(CASE WHEN t.outcome = 'complete' THEN t.value END) AS highest,
        min(CASE WHEN t.outcome = 'complete' THEN t.value END) AS lowest,
        CAST(coalesce(sum(t.images), 0) AS BIGINT) AS images,
        coalesce(sum(t.seconds), 0.0) AS seconds
    -- A stage that could not begin has no slot, and a stage of before these tables no row.
    FROM (SELECT study_id, stage FROM hpo_slot UNION SELECT study_id, stage FROM hpo_stage) AS n
    LEFT JOIN hpo_slot AS q ON q.study_id = n.study_id AND q.stage = n.stage
    LEFT JOIN hpo_trial AS t ON t.trial_id = q.trial_id
    GROUP BY n.study_id, n.stage
) AS w
JOIN hpo_study AS h ON h.study_id = w.study_id
JOIN studies AS os ON os.study_id = h.study_id AND os.study_name = h.name
LEFT JOIN hpo_stage AS g ON g.study_id = w.study_id AND g.stage = w.stage
