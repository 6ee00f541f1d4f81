"""Our spaces and values in Optuna's words."""

from __future__ import annotations

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.config.space import Choice, Distribution, Integer, Log, Uniform
from hpo.storage.optuna.distributions import as_parameters, optuna_distribution

SPACE: dict[str, Distribution] = {
    "lr": Log(log=(1e-4, 0.1)),
    "dropout": Uniform(uniform=(0.1, 0.5)),
    "width": Integer(int=(4, 8)),
    "activation": Choice(choice=["relu", "tanh"]),
}


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("lr", FloatDistribution(1e-4, 0.1, log=True)),
        ("dropout", FloatDistribution(0.1, 0.5)),
        ("width", IntDistribution(4, 8)),
        ("activation", CategoricalDistribution(["relu", "tanh"])),
    ],
)
def test_every_distribution_has_its_counterpart(name: str, theirs: BaseDistribution) -> None:
    assert optuna_distribution(SPACE[name]) == theirs


def test_distributions_widen_for_a_number_and_skip_unknown_choices() -> None:
    found = as_parameters(SPACE, {"lr": 1.0, "width": 2, "activation": "gelu", "epochs": 3, "dropout": 0.2})
    assert found == {
        "lr": (1.0, FloatDistribution(1e-4, 1.0, log=True)),
        "width": (2, IntDistribution(2, 8)),
        "dropout": (0.2, FloatDistribution(0.1, 0.5)),
    }
    assert as_parameters(SPACE, {"activation": "tanh"}) == {
        "activation": ("tanh", CategoricalDistribution(["relu", "tanh"]))
    }
