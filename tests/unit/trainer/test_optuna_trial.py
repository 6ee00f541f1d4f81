"""What an objective that is written for Optuna may draw and set, and what is refused."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, cast

import numpy as np
import optuna
import pytest

from hpo.errors import UserError
from hpo.trainer.connection import Connection
from hpo.trainer.messages import Attribute, Begin, OptunaSearch, Past, Suggested, decode, encode
from hpo.trainer.optuna_trial import optuna_trial
from hpo.trainer.trial import Trial
from hpo.training.optuna_scripts import ONLY_HPO_TRIAL


class Worker:
    """Takes messages as a worker does: by way of JSON."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def check(self) -> None:
        pass

    def send(self, message: Any) -> None:
        self.told.append(decode(encode(message)))


def begin(*past: Past, study: str, **parameters: Any) -> Begin:
    search = OptunaSearch(study, "tpe", {"startup": 2, "candidates": 4}, prunes=False, past=list(past))
    given = {
        "number": len(past), "study": study, "parameters": parameters, "seed": 1, "path": ("slot", len(past)),
        "objective": "value", "direction": "minimize", "optuna": search,
    }  # fmt: skip
    return Begin(**cast("Any", {each.name: None for each in fields(Begin)} | given))


def drawn(choices: Any, trials: int = 12, **enqueued: Any) -> list[Any]:
    """Draw a parameter in trials one after another, each of which knows those before it."""
    found: list[Any] = []
    past: list[Past] = []
    study = f"choices {choices!r}"
    for number in range(trials):
        worker = Worker()
        trial = optuna_trial(begin(*past, study=study, **enqueued), cast("Connection", worker))
        found.append(trial.suggest_categorical("c", choices))
        assert repr(trial.suggest_categorical("c", choices)) == repr(found[-1])
        (told,) = worker.told
        past.append(Past(number, "complete", float(number % 3), {}, {"c": (told.value, told.distribution)}))
    return found


@pytest.mark.parametrize(
    "choices",
    [
        [(50,), (100,), (50, 50)],
        [[1, 2], [3, 4]],
        [{"depth": 1}, {"depth": (2, 3)}],
        [True, 1, 1.0, None, "1"],
        np.array([1, 2, 3]),
        [np.float32(0.5), np.bool_(True), math.nan],
    ],
)
def test_choices_that_json_can_hold_are_drawn_as_they_were_given(choices: Any) -> None:
    found = drawn(choices)
    assert {type(each) for each in found} <= {type(each) for each in choices}
    assert len({repr(each) for each in found}) > 1
    assert {repr(each) for each in found} <= {repr(each) for each in choices}


@pytest.mark.parametrize(
    ("choices", "stored", "place"),
    [([(1, 2), (3, 4)], "[3, 4]", 1), ([0.5, 1.0], 1, 1), ([True, 1], True, 0), ([True, 1], 1, 1)],
)
def test_enqueued_choice_is_found_after_it_was_stored(choices: list[Any], stored: Any, place: int) -> None:
    (found,) = drawn(choices, trials=1, c=stored)
    assert found is choices[place]


def test_attributes_of_numpy_are_stored_and_read_back() -> None:
    worker = Worker()
    trial = optuna_trial(begin(study="attributes"), cast("Connection", worker))
    trial.set_user_attr("score", np.float32(0.5))
    trial.set_user_attr("sizes", {"a": np.arange(2), "b": (1, 2)})
    assert worker.told == [Attribute("score", 0.5), Attribute("sizes", {"a": [0, 1], "b": [1, 2]})]
    assert trial.user_attrs["score"] == 0.5


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("suggest_categorical('c', [object(), 1])", "suggest_categorical('c'): <object object at"),
        ("suggest_categorical('c', [len])", "cannot be stored; choose by its name, as in {'relu': nn.ReLU}"),
        ("set_user_attr('m', object())", "set_user_attr('m'): the value cannot be stored: <object object at"),
        ("set_user_attr('m' * 600, 1)", "is not a valid name of an attribute: a text of at most 512"),
        ("suggest_float('x' * 600, 0, 1)", "is not a valid name of a parameter: a text of at most 512"),
        ("suggest_float('a\\0b', 0, 1)", "'a\\x00b' is not a valid name of a parameter"),
        (
            "suggest_int('x', 0, 3)",
            "parameter x: Cannot set different distribution kind to the same parameter",
        ),
        ("suggest_float('x', 0.1, 1, log=True)", "parameter x: Cannot set different log configuration"),
        ("study.stop()", "within an objective that hpo runs, the study cannot be stopped: use `hpo stop`"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(call: str, problem: str) -> None:
    earlier = optuna.distributions.distribution_to_json(optuna.distributions.FloatDistribution(0, 1))
    worker = Worker()
    past = Past(0, "complete", 1.0, {}, {"x": (0.5, earlier)})
    trial = optuna_trial(begin(past, study=f"refused {call}"), cast("Connection", worker))
    with pytest.raises((UserError, ValueError, RuntimeError)) as caught:
        eval(f"trial.{call}", {"trial": trial})
    assert problem in str(caught.value)
    assert not [each for each in worker.told if isinstance(each, Suggested)]


def test_names_of_hpo_trial_say_how_to_get_one() -> None:
    trial = optuna_trial(begin(study="names"), cast("Connection", Worker()))
    of_hpo = {each for each in dir(Trial) if not each.startswith("_")}
    assert of_hpo - {*dir(optuna.Trial), *vars(trial)} == ONLY_HPO_TRIAL
    for name in ONLY_HPO_TRIAL:
        with pytest.raises(AttributeError, match=rf"trial\.{name} is of hpo\.Trial.*write @hpo\.study"):
            getattr(trial, name)
    with pytest.raises(TypeError, match=r"trial\['lr'\] is of hpo\.Trial.*trainer: in a study file"):
        trial["lr"]  # type: ignore[index]
    with pytest.raises(AttributeError, match=r"no attribute 'epoch'$"):
        _ = trial.epoch  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="not iterable"):
        iter(trial)  # type: ignore[call-overload]
