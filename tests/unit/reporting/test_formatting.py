from __future__ import annotations

import math

import pytest

from hpo.config.objective import Objective
from hpo.records import reported_epoch
from hpo.reporting import formatting


def test_sparkline_spans_its_limits() -> None:
    assert formatting.sparkline([0, 0.5, 1], 0, 1) == "▁▅█"
    assert formatting.sparkline([-1, 2], 0, 1) == "▁█"
    assert formatting.sparkline([1, 1], 1, 1) == "▁▁"
    assert formatting.sparkline([0, math.nan, math.inf], 0, 1) == "▁!!"
    assert formatting.sparkline([], 0, 1) == ""


def test_sparkline_of_many_values_keeps_the_last() -> None:
    assert formatting.sparkline([0.0] * 99 + [1.0], 0, 1, width=10) == "▁" * 9 + "█"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_duration_chooses_its_units(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_numbers_are_short() -> None:
    assert formatting.loss(2.302585) == "2.303"
    assert formatting.loss(123456.0) == "1.2e+05"
    assert formatting.loss(4.043e-6) == "4.0e-06"
    assert formatting.loss(0.0) == "0.000"
    assert formatting.loss(math.nan) == "nan"
    assert formatting.loss(None) == formatting.accuracy(None) == "–"
    assert formatting.accuracy(0.81254) == "0.8125"
    assert formatting.counted(1, "trial") == "1 trial"
    assert formatting.counted(1200, "trial") == "1,200 trials"


@pytest.mark.parametrize("name", ["val_loss", "train_accuracy", "error"])
def test_metrics_show_the_objective_as_it_prints_elsewhere(name: str) -> None:
    shown = formatting.metrics(reported_epoch(1, {name: 4.0434e-6, "val_loss": 4.0434e-6}, 1.0), name)
    assert dict(shown)[name] == Objective(name).text(4.0434e-6)


def test_hyperparameters_are_short() -> None:
    values = {
        "lr": 0.0132567,
        "weight_decay": 1.2345e-5,
        "activation": "relu",
        "depth": None,
        "nesterov": True,
    }
    assert formatting.hyperparameters(values) == (
        "lr 0.0133, weight_decay 1.23e-5, activation relu, depth null, nesterov true"
    )
