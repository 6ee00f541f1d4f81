"""A study that Optuna alone made, with what hpo never writes.

It imports nothing of hpo, so that any Optuna can run it: `python optuna_study.py FILE` makes an SQLite file.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

THEIRS = "theirs"
ODD_TEXT = 'ValueError: "quotes", tabs\t, half a character \ud800, 漢字'


def make_theirs(url: str, name: str = THEIRS) -> None:
    """Two objectives, infinite values, odd choices, constraints, notes, a queue."""
    storage = RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    study = optuna.create_study(study_name=name, storage=storage, directions=["minimize", "maximize"])
    study.set_user_attr("owner", {"name": "漢字", "weights": [1, 2.5, math.inf, None]})
    # What `study.set_metric_names` writes, which warns that it is experimental.
    storage.set_study_system_attr(study._study_id, "study:metric_names", ["loss", "accuracy"])
    odd = [None, True, 3, 0.1, 1e-05, "relu", 'say "no", ]']
    distributions = {
        "odd": CategoricalDistribution(odd),
        "layers": IntDistribution(1, 9, step=2),
        "lr": FloatDistribution(1e-5, 1.0, log=True),
        "dropout": FloatDistribution(0.0, 0.5, step=0.1),
    }
    for number, choice in enumerate(odd):
        study.add_trial(
            optuna.create_trial(
                values=[[0.1, -math.inf], [math.inf, 1 / 3]][number % 2],
                params={"odd": choice, "layers": 3, "lr": 1e-05 * 21, "dropout": 0.3},
                distributions=distributions,
                user_attrs={"why": f"number {number}", "nan": math.nan},
                system_attrs={"constraints:size": -1.5},
                intermediate_values={0: math.nan, 1: math.inf, 2: -math.inf, 10: 0.1 + 0.2},
            )
        )
    study.add_trial(optuna.create_trial(state=TrialState.FAIL, user_attrs={"odd": ODD_TEXT}))
    pruned: dict[str, Any] = {
        "params": {"lr": 0.5},
        "distributions": {"lr": distributions["lr"]},
        "intermediate_values": {3: 0.5},
    }
    study.add_trial(optuna.create_trial(state=TrialState.PRUNED, **pruned))
    study.enqueue_trial({"lr": 0.125})
    study.ask()  # takes the one in the queue, and stays RUNNING
    study.enqueue_trial({"lr": 0.25}, user_attrs={"note": "waits"})
    storage.engine.dispose()


if __name__ == "__main__":
    make_theirs(f"sqlite:///{sys.argv[1]}")
