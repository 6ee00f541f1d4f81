"""Which hyperparameters decide whether a trial is among the best, by Optuna's PED-ANOVA.

S. Watanabe, A. Bansal, F. Hutter, PED-ANOVA, IJCAI 2023; Optuna's is its form for conditional spaces.
"""

from __future__ import annotations

import warnings

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator

from hpo.config.space import Choice
from hpo.diagnosis.base import StudyResults
from hpo.storage.optuna.distributions import optuna_distribution
from hpo.storage.optuna.storage import quiet_optuna

BEST_SHARE = 0.1
FEWEST_BEST = 5
"""Trials among the best that Optuna's documentation recommends at least."""


def best_tenth_shares(results: StudyResults) -> dict[str, float]:
    """Return each hyperparameter's share in being among the best tenth (at least five trials); sums to 1.

    A trial that failed, did not learn or was stopped early counts as worse than all others. Empty if fewer
    than ten trials learned: five of them would be half.
    """
    if len(results.ranked) < 2 * FEWEST_BEST:
        return {}
    with quiet_optuna():
        study = optuna.create_study(direction="maximize")  # of scores
    learned = {trial.number: results.goal.score(trial.value or 0.0) for trial in results.ranked}
    worst = min(learned.values()) - 1.0
    space = {name: _distribution(results, name) for name in results.spec.space}
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=dict(trial.values),
                distributions={name: space[name] for name in trial.values},
                value=learned.get(trial.number, worst),
            )
            for trial in results.trials
        ]
    )
    share = max(BEST_SHARE, FEWEST_BEST / len(results.trials))
    with warnings.catch_warnings():  # for a hyperparameter that applied in a single trial
        warnings.filterwarnings("ignore", message="Some regimes for parameter")
        found = PedAnovaImportanceEvaluator(target_quantile=share).evaluate(study)
    total = sum(found.values())
    return {name: float(part) / total for name, part in found.items()} if total else {}


def _distribution(results: StudyResults, name: str) -> BaseDistribution:
    """Return a distribution that also covers given values outside the space."""
    distribution = results.spec.space[name]
    seen = [trial.values[name] for trial in results.trials if name in trial.values]
    if isinstance(distribution, Choice):
        return CategoricalDistribution(list(dict.fromkeys([*distribution.choice, *seen])))
    theirs = optuna_distribution(distribution)
    assert isinstance(theirs, FloatDistribution | IntDistribution)
    theirs.low, theirs.high = min([theirs.low, *seen]), max([theirs.high, *seen])
    return theirs
