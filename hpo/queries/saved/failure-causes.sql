-- Why did trials fail?
--
-- Each cause with its trials, its range of learning rates, and an example with its remedy. A trial that the search
-- stopped early because others were ahead, or that is beyond the limit, has not failed.
--
-- :study (text)  the study
WITH failures AS (
    SELECT
        coalesce(cause, state) AS cause,
        number,
        state,
        lr,
        seconds,
        remedy
    FROM results
    WHERE study = :study
        AND (
            state = 'failed'
            OR (state = 'pruned' AND coalesce(cause, '') NOT IN ('healthy', 'not_checked', 'beyond_limit'))
            OR (
                state = 'complete'
                AND cause NOT IN ('healthy', 'nothing_wrong_seen', 'not_enough_seen', 'not_checked')
            )
        )
),
ordered AS (
    SELECT cause, number, state, lr, seconds, remedy, row_number() OVER (PARTITION BY cause ORDER BY number) AS place
    FROM failures
)
SELECT
    cause,
    count(*) AS trials,
    count(*) FILTER (WHERE state = 'pruned') AS pruned,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    min(lr) AS lr_lowest,
    max(lr) AS lr_highest,
    sum(seconds) AS seconds,
    min(number) AS example,
    max(remedy) FILTER (WHERE place = 1) AS remedy
FROM ordered
GROUP BY cause
ORDER BY trials DESC, cause
