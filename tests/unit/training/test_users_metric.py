"""A metric of the user's own: what it is given, what is refused on start, and where its values go."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo.config.parsing.load import parse_study
from hpo.config.study import StudySpec
from hpo.errors import ConfigurationError
from hpo.training.evaluate import evaluate
from hpo.training.users_code import allow_only
from hpo.training.users_metric import UsersMetric, check_metric

MODULE = """
import numpy as np
import torch

def share(probabilities, labels):
    assert probabilities.dtype == np.float32 and labels.dtype == np.int64
    return float((probabilities.argmax(1) == labels).mean())

def vandal(probabilities, labels):
    probabilities[:] = 0
    return np.float32(0.5)

def each(probabilities, labels):
    return probabilities.max(1)

def nothing(probabilities, labels):
    pass

def fails(probabilities, labels):
    raise KeyError("no such thing")

def infinite(probabilities, labels):
    return float("inf")

def text(probabilities, labels):
    return "0.5"

def nested(probabilities, labels):
    return np.array([[0.5]])

def tensor(probabilities, labels):
    return torch.tensor(0.5)

def late(probabilities, labels):
    yield 0.5

def leaves(probabilities, labels):
    raise SystemExit(3)

def one(probabilities):
    return 1.0

class Metric:
    pass
"""


@pytest.fixture
def own_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_metrics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    allow_only(None)


def study(objective: str) -> StudySpec:
    text = "study: s\ntrials: 2\nspace:\n  lr: {log: [1e-3, 1]}\ndirection: maximize\n"
    return parse_study(f"{text}objective: {objective}\n", "s.yaml")


def test_check_metric_sound_function_passes(own_metrics: None) -> None:
    check_metric(study("own_metrics:share"), 3)
    check_metric(study("own_metrics:vandal"), 3)
    check_metric(study("own_metrics:tensor"), 3)


def test_check_metric_of_hpo_has_nothing_to_check() -> None:
    check_metric(study("auc"), 3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("own_metrics:each", "returned an array of shape (64,); it is called with probabilities (N, C)"),
        ("own_metrics:text", "returned a str; it is called with"),
        ("own_metrics:nested", "returned an array of shape (1, 1); it is called with"),
        ("own_metrics:late", "returned a generator; it is called with"),
        ("own_metrics:leaves", "raised SystemExit: 3"),
        ("own_metrics:nothing", "returned nothing; it is called with"),
        ("own_metrics:fails", "labels (64,), raised KeyError: 'no such thing'"),
        ("own_metrics:infinite", "is inf for random predictions of 64 images of 3 classes"),
        ("own_metrics:one", "cannot be called: too many positional arguments"),
        ("own_metrics:Metric", "is a class, not a function"),
        ("own_metrics:shore", "has no 'shore'; did you mean share?"),
        ("own_metrics_2:share", "there is no module 'own_metrics_2'"),
    ],
)
def test_check_metric_names_what_is_wrong(function: str, message: str, own_metrics: None) -> None:
    with pytest.raises(ConfigurationError) as error:
        check_metric(study(function), 3)
    assert f"objective {function}" in str(error.value) and message in str(error.value)


def test_check_metric_package_that_is_not_allowed_is_not_imported(own_metrics: None) -> None:
    allow_only(["torch"])
    with pytest.raises(ConfigurationError, match="HPO_ALLOWED_MODELS=torch,own_metrics"):
        check_metric(study("own_metrics:share"), 3)
    assert study("own_metrics:share").packages == ("own_metrics",)


def test_evaluate_own_metric_has_its_path_as_its_name(
    own_metrics: None, make_tiny: Callable[..., tuple[Any, ...]]
) -> None:
    _, data = make_tiny()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    own = UsersMetric.of(study("own_metrics:share"))
    result = evaluate(net, data.val, "fp32", own=own)
    assert result.values["own_metrics:share"] == pytest.approx(result.accuracy)


def test_own_metric_of_predictions_that_are_not_numbers_is_not_called() -> None:
    def never(probabilities: Any, labels: Any) -> float:
        raise AssertionError

    probabilities = np.array([[0.5, math.nan]], dtype=np.float32)
    assert math.isnan(UsersMetric("a:b", never)(probabilities, np.array([0])))
