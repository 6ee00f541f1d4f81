"""Which hyperparameters it takes to be among the best, by Optuna's PED-ANOVA.

S. Watanabe, A. Bansal, F. Hutter, PED-ANOVA, IJCAI 2023; Optuna's is its form for conditional spaces.
"""

from __future__ import annotations

import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from hpo.checks.study.base import StudyResults
from hpo.search.optuna_space import as_parameters

BEST_SHARE = 0.1
FEWEST_BEST = 5
"""Trials that Optuna's documentation wants among the best."""


def best_tenth_shares(results: StudyResults) -> dict[str, float]:
    """Each hyperparameter's part in being among the best tenth of the trials (five at least); sums to 1.

    A trial that came to nothing, or was stopped early, counts as worse than all others. Empty if fewer than
    ten trials learned: what is said of five of them would be said of half.
    """
    if len(results.ranked) < 2 * FEWEST_BEST:
        return {}
    study = optuna.create_study(direction="maximize")
    learned = {trial.number: trial.value or 0.0 for trial in results.ranked}
    worst = min(learned.values()) - 1.0
    for trial in results.trials:
        parameters = as_parameters(results.spec.space, trial.values)
        study.add_trial(
            optuna.trial.create_trial(
                params={name: value for name, (value, _) in parameters.items()},
                distributions={name: distribution for name, (_, distribution) in parameters.items()},
                value=learned.get(trial.number, worst),
            )
        )
    share = max(BEST_SHARE, FEWEST_BEST / len(results.trials))
    found = PedAnovaImportanceEvaluator(target_quantile=share).evaluate(study)
    total = sum(found.values())
    return {name: float(part) / total for name, part in found.items()} if total else {}
