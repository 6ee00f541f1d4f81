"""``hpo test``: one evaluation of a trial's configuration on the test images."""

from __future__ import annotations

from hpo.cli.options import Storage, StudyName, TrialNumber, storage_url


def evaluate(
    study: StudyName,
    number: TrialNumber,
    storage: Storage = None,
) -> None:
    """Plan one evaluation of a trial on the test images.

    `hpo run STUDY` then trains the trial's configuration on the training and validation images and measures
    it. Do this once, for the winner: the best of several test results is the luckiest. Every evaluation is
    counted. A study with a confirmation stage evaluates its winner by itself.
    """
    from hpo.cli.console import print_line, print_warning
    from hpo.cli.database import study_in_database
    from hpo.reporting import formatting
    from hpo.stages.advance import evaluate_on_test
    from hpo.storage.store import ResultsStore

    url = storage_url(storage)
    study_in_database(url, study)
    with ResultsStore(url) as store:
        looks = evaluate_on_test(store, study, number)
    if looks:
        print_warning(
            f"this is evaluation {looks + 1} on the test images, "
            f"after {formatting.counted(looks, 'other')}: only the first is unbiased"
        )
    print_line(f"planned: trial {number} of {study} on the test images; `hpo run {study}` trains it")
