from typing import Any

from hpo.config.study import StudySpec
from hpo.search.advice import notes, warnings


def _study(space: dict[str, Any], **more: Any) -> StudySpec:
    return StudySpec.model_validate({"study": "s", "trials": 10, "space": space, **more})


CHOICES: dict[str, Any] = {"lr": {"choice": [0.01, 0.1]}, "depth": {"int": [1, 3]}}


def test_a_grid_is_warned_of_with_what_it_tries() -> None:
    (warning,) = warnings(_study(CHOICES, sampler="grid"))
    assert "in its 6 points: 2 of lr, 3 of depth" in warning
    assert "Random search tries a new value" in warning and "Bergstra and Bengio" in warning


def test_only_a_grid_over_several_hyperparameters_is_warned_of() -> None:
    assert warnings(_study(CHOICES)) == []
    assert warnings(_study({"lr": CHOICES["lr"]}, sampler="grid")) == []


def test_direction_against_the_name_of_the_objective_is_warned_of() -> None:
    for metric, direction, warned in (
        ("test_error", "maximize", True), ("f1", "minimize", True), ("f1", "maximize", False),
        ("energy", "maximize", False),
    ):  # fmt: skip
        study = _study({"x": {"log": [1, 2]}}, trainer="a:b", objective=metric, direction=direction)
        assert [f"looks for the worst {metric}" in each for each in warnings(study)] == [True] * warned


def test_more_trials_than_configurations_are_reported() -> None:
    (note,) = notes(_study(CHOICES))
    assert note.startswith("the space has 6 configurations for 10 trials: once all are tried, they repeat")
    assert list(notes(_study(CHOICES, trials=6))) == []
    assert list(notes(_study({**CHOICES, "momentum": {"uniform": [0.8, 0.9]}}))) == []


def test_what_cmaes_does_not_learn_is_reported() -> None:
    space = {"lr": {"log": [1e-3, 1]}, "optimizer": {"choice": ["sgd", "adam"]}}
    space["momentum"] = {"uniform": [0.8, 0.99], "when": {"optimizer": "sgd"}}
    (note,) = notes(_study(space, sampler="cmaes"))
    assert note == "cmaes learns lr; drawn at random: optimizer, momentum"
    assert list(notes(_study({"lr": space["lr"]}, sampler="cmaes"))) == []


def test_given_values_without_effect_or_outside_the_space_are_reported() -> None:
    spec = _study(
        {"lr": {"log": [1e-3, 1]}}, fixed={"optimizer": "adam", "momentum": 0.5}, first=[{"lr": 3.0}]
    )
    assert list(notes(spec)) == [
        "fixed: momentum has no effect with optimizer adam: leave it out, or set optimizer to sgd or rmsprop "
        "or muon",
        "first: lr 3 is outside of the study's space (log 1e-3 to 1)",
    ]
