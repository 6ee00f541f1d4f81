"""Impossible arguments of a babysitter are one clear error, at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import hpo
from hpo.errors import UserError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"classes": 0}, "classes: 0 is not a whole number of 1 or more"),
        ({"classes": -3}, "classes: -3 is not"),
        ({"classes": 2.5}, "classes: 2.5 is not"),
        ({"classes": True}, "classes: True is not"),
        ({"epochs": 0}, "epochs: 0 is not"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: 0 is not"),
        ({"task": "clasification"}, "task: 'clasification' is unknown"),
        ({"optimizer": "sgd"}, "optimizer: str is not a torch.optim.Optimizer"),
        ({"optimizer": [1]}, "optimizer: int is not"),
        ({"model": nn.ReLU()}, "model: it has no parameters"),
        ({"model": lambda images: images}, "model: function is not a torch.nn.Module"),
    ],
)
def test_babysitter_with_an_impossible_argument_is_refused(given: dict[str, Any], message: str) -> None:
    model = nn.Linear(4, 3)
    arguments: dict[str, Any] = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
    } | given
    with pytest.raises(UserError, match=message):
        hpo.Babysitter(**arguments)


@pytest.mark.parametrize("classes", [None, 1, 3])
def test_babysitter_without_an_optimizer_or_classes_is_made(classes: int | None) -> None:
    sitter = hpo.Babysitter(nn.Linear(4, 3), None, classes=classes)
    assert sitter.seen.setup.optimizers == 0
