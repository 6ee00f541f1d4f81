"""``hpo show``: one trial in detail."""

from __future__ import annotations

from hpo.cli.options import Json, Storage, StudyName, TrialNumber, storage_url


def show(
    study: StudyName,
    number: TrialNumber,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show one trial: configuration, curve, findings, verdict."""
    from hpo.artifacts.store import find
    from hpo.cli.console import print_json
    from hpo.cli.database import results
    from hpo.cli.views.trial import print_trial, trial_as_dict
    from hpo.queries.trial import trial_detail

    with results(storage_url(storage)) as engine:
        trial = trial_detail(engine, study, number)
    weights = find(trial.study_uid, number)
    if as_json:
        print_json(trial_as_dict(trial, weights))
    else:
        print_trial(trial, weights)
