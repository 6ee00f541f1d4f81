-- Complete trials of all stages, best first within each study; equals share a rank. Not the trial that is measured on
-- the test images: its value is of other images.
SELECT
    rank() OVER (PARTITION BY t.study_id ORDER BY /* score of t */ DESC) AS rank,
    k.study,
    t.stage,
    k.number,
    t.value,
    t.test_value,
    t.best_epoch,
    t.epochs AS epochs_done,
    t.images,
    t.seconds,
    t.verdict,
    t.cause,
    t.trial_id
FROM hpo_trial AS t
JOIN hpo_known_trial AS k ON k.trial_id = t.trial_id
JOIN hpo_study AS h ON h.study_id = t.study_id
WHERE k.state = 'complete' AND t.stage <> 'test'
