-- Which trials took longest?
--
-- With what usually makes them slow.
--
-- :study (text)                 the study
-- :count (integer, default 10)  how many trials
SELECT
    number,
    state,
    value,
    seconds,
    images_per_second,
    epochs_done,
    epochs,
    parameters,
    model,
    width,
    depth,
    activation,
    batch_size,
    precision,
    worker
FROM results
WHERE study = :study AND seconds IS NOT NULL
ORDER BY seconds DESC, number
LIMIT :count
