"""What is read off a model and its optimizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hpo.checks.measure.setup import read_setup, stated_setup
from hpo.checks.observations import Setup


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Dropout2d(0.6), nn.Linear(8, 3)
    )


def read(model: nn.Module, optimizer: torch.optim.Optimizer) -> Setup:
    stated = stated_setup(classes=3, epochs=4, steps_per_epoch=25, settings={"lr": 0.1})
    return read_setup(stated, model, [optimizer])


def test_setup_a_sound_setup() -> None:
    model = network()
    setup = read(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8, weight_decay=5e-4))
    assert (setup.optimizer, setup.lr, setup.momentum, setup.weight_decay) == ("sgd", 0.1, 0.8, 5e-4)
    assert (setup.parameters, setup.frozen, setup.unoptimized, setup.foreign_parameters) == (6, (), (), 0)
    assert (setup.dropout, setup.frozen_norms, setup.total_steps) == (0.6, (), 100)
    assert setup.settings == {"lr": 0.1}


def test_setup_what_is_frozen_or_forgotten() -> None:
    model = network()
    model[0].requires_grad_(False)
    other = network()
    optimizer = torch.optim.Adam([*model[4].parameters(), *other.parameters()], lr=0.01, betas=(0.7, 0.99))
    setup = read(model, optimizer)
    assert setup.frozen == ("0.weight", "0.bias")
    assert setup.unoptimized == ("1.weight", "1.bias")
    assert (setup.foreign_parameters, setup.momentum, setup.parameters) == (6, 0.7, 4)


def test_setup_the_group_with_the_largest_rate_counts() -> None:
    model = network()
    groups = [
        {"params": model[0].parameters(), "lr": 0.5, "weight_decay": 0.0},
        {"params": model[4].parameters(), "weight_decay": 0.1},
    ]
    setup = read(model, torch.optim.SGD(groups, lr=0.01))
    assert (setup.lr, setup.weight_decay, setup.momentum) == (0.5, 0.1, 0.0)


def test_setup_norms_whose_statistics_stand_still() -> None:
    model: Any = network()
    model[1].momentum = 0.0
    assert read(model, torch.optim.SGD(model.parameters(), lr=0.1)).frozen_norms == ("1",)
    model[1].momentum = None  # a cumulative mean moves
    assert read(model, torch.optim.SGD(model.parameters(), lr=0.1)).frozen_norms == ()
    unknown = stated_setup(classes=3, epochs=None, steps_per_epoch=5, settings={})
    assert unknown.total_steps is None


def test_setup_of_several_optimizers_or_none() -> None:
    model = network()
    first = torch.optim.SGD(model[0].parameters(), lr=0.1)
    second = torch.optim.Adam(model[4].parameters(), lr=0.5)
    stated = stated_setup(classes=0, epochs=None, steps_per_epoch=None, settings={})
    several = read_setup(stated, model, [first, second])
    assert (several.optimizer, several.optimizers, several.lr) == ("sgd", 2, 0.5)
    assert several.unoptimized == ("1.weight", "1.bias")
    none = read_setup(stated, model, [])
    assert (none.optimizer, none.optimizers, none.lr, none.unoptimized) == ("", 0, 0.0, ())
