-- The curve of a trial, epoch by epoch
--
-- :study (text)      the study
-- :number (integer)  the trial's number
SELECT epoch, train_loss, val_loss, train_accuracy, val_accuracy, lr, seconds, images_per_second, ended
FROM curves
WHERE study = :study AND number = :number
ORDER BY epoch
