"""Our spaces and values in Optuna's words."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.config.space import Choice, Distribution, Integer, Log, Uniform
from hpo.storage.optuna.distributions import as_parameters, from_optuna, optuna_distribution, widened

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


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (FloatDistribution(1, 3), Uniform(uniform=(1, 3))),
        (FloatDistribution(1, 3, step=0.5), Uniform(uniform=(1, 3))),
        (FloatDistribution(1, 3, log=True), Log(log=(1, 3))),
        (IntDistribution(2, 10, step=4), Integer(int=(2, 10))),
        (IntDistribution(1, 8, log=True), Log(log=(1, 8))),
        (IntDistribution(4, 4), Choice(choice=[4])),
        (CategoricalDistribution(["a", None]), Choice(choice=["a", None])),
    ],
)
def test_from_optuna_keeps_the_support(theirs: BaseDistribution, ours: Distribution) -> None:
    assert from_optuna(theirs) == ours


def test_from_optuna_has_no_distribution_for_choices_of_objects() -> None:
    with pytest.warns(UserWarning):
        pairs: Any = [(1, 2), (3, 4)]
        assert from_optuna(CategoricalDistribution(pairs)) is None


@pytest.mark.parametrize(
    ("ours", "other", "both"),
    [
        (Uniform(uniform=(1, 3)), Uniform(uniform=(0, 2)), Uniform(uniform=(0, 3))),
        (Integer(int=(1, 3)), Integer(int=(2, 9)), Integer(int=(1, 9))),
        (Log(log=(1, 3)), Log(log=(2, 4)), Log(log=(1, 4))),
        (Choice(choice=[1]), Choice(choice=[1, 2]), Choice(choice=[1, 2])),
        (Choice(choice=[1]), Integer(int=(1, 4)), Integer(int=(1, 4))),
        (Log(log=(1, 3)), Uniform(uniform=(0, 9)), Log(log=(1, 3))),
    ],
)
def test_widened_holds_the_values_of_both(
    ours: Distribution, other: Distribution, both: Distribution
) -> None:
    assert widened(ours, other) == both
