"""Averages of weights against the recipe's rule in numpy, and against torch's own averaged model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.errors import ConfigurationError
from hpo.rng import Key
from hpo.training.averages import Lookahead, StochasticAverage, measure_statistics
from hpo.training.data import TrialData, weights_hash
from hpo.training.evaluate import evaluate
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.setup import TrialSetup

Make = Callable[..., tuple[Configuration, TrialData]]
CPU = torch.device("cpu")
PER_EPOCH = 7


def _setup(make_tiny: Make, **fields: Any) -> TrialSetup:
    configuration, data = make_tiny(precision="fp32", **fields)
    model = build_model(configuration, classes=10, in_shape=STANDARD.shape, key=Key(1), sample=None)
    return TrialSetup.of(configuration, model, data, Key(1), CPU, "fp32")


def test_lookahead_follows_the_recipe() -> None:
    """Jordan 2024, listing 4, with a weight that an optimizer moves by 1 at each step."""
    configuration = Configuration(
        weight_average="lookahead", epochs=4, lookahead_start=0.5, lookahead_steps=3, lookahead_decay=0.9
    )
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = Lookahead(layer, configuration)
    weight, mean, total = 0.0, None, 4 * PER_EPOCH
    for done in range(1, total + 1):
        with torch.no_grad():
            layer.weight += 1
        weight += 1
        average.after_step(done, PER_EPOCH)
        if done > 2 * PER_EPOCH and done % 3 == 0:
            share = 0.9**3 * (done / total) ** 3
            mean = weight if mean is None else share * mean + (1 - share) * weight
            weight = mean
        if done % PER_EPOCH == 0:
            average.end_epoch(done // PER_EPOCH)
            weight = weight if mean is None else mean
        assert layer.weight.item() == pytest.approx(weight, rel=1e-6), done
    assert weight < total - 5


def test_stochastic_averaging_is_torchs(make_tiny: Make) -> None:
    setup = _setup(make_tiny, epochs=5, weight_average="swa", swa_start=0.4)
    reference = AveragedModel(copy.deepcopy(setup.model))
    judged: list[bool] = []
    for result in train(setup):
        judged.append(setup.judged is setup.model)
        if result.epoch > 2:
            reference.update_parameters(setup.model)
    assert judged == [True, True, False, False, False]
    positions = torch.arange(len(setup.data.train))
    update_bn([setup.data.train.batch(positions)[0]], reference)
    expected = reference.module.state_dict()
    for name, each in setup.judged.state_dict().items():
        torch.testing.assert_close(each.float(), expected[name].float(), rtol=1e-5, atol=1e-6)
    assert weights_hash(setup.model) != weights_hash(setup.judged)


def test_the_averaged_network_is_what_is_validated(make_tiny: Make) -> None:
    setup = _setup(make_tiny, epochs=2, weight_average="swa", swa_start=0.0)
    *_, last = train(setup)
    assert last.val_loss == evaluate(setup.judged, setup.data.val, "fp32").loss
    assert last.val_loss != evaluate(setup.model, setup.data.val, "fp32").loss


def test_the_end_of_an_epoch_counts_once_also_after_a_load(make_tiny: Make) -> None:
    setup = _setup(make_tiny, epochs=2, weight_average="swa", swa_start=0.0)
    setup.average.end_epoch(1)
    once = weights_hash(setup.judged)
    with torch.no_grad():
        next(setup.model.parameters()).add_(1)
    setup.average.end_epoch(1)
    assert weights_hash(setup.judged) == once
    other = _setup(make_tiny, epochs=2, weight_average="swa", swa_start=0.0)
    other.average.load(copy.deepcopy(setup.average.state()))
    other.average.end_epoch(1)
    assert weights_hash(other.judged) == once


def test_statistics_are_means_over_the_images_and_settings_stay(make_tiny: Make) -> None:
    setup = _setup(make_tiny)
    before = copy.deepcopy(setup.model.state_dict())
    measure_statistics(setup.model, setup.data, "fp32")
    layer = next(each for each in setup.model.modules() if isinstance(each, nn.BatchNorm2d))
    conv = next(each for each in setup.model.modules() if isinstance(each, nn.Conv2d))
    images = setup.data.train.first(len(setup.data.train))[0]
    maps: npt.NDArray[np.float64] = conv(images).detach().double().numpy()
    assert layer.running_mean is not None and layer.running_var is not None
    np.testing.assert_allclose(layer.running_mean.numpy(), maps.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), maps.var((0, 2, 3), ddof=1), rtol=1e-3)
    assert layer.momentum == 0.1 and setup.model.training
    assert all(torch.equal(before[name], each) for name, each in setup.model.named_parameters())


def test_a_network_that_cannot_be_copied_is_refused(make_tiny: Make) -> None:
    class Locked(nn.Linear):
        def __deepcopy__(self, memo: object) -> None:
            raise TypeError("cannot pickle '_thread.lock' object")

    configuration, data = make_tiny(weight_average="swa")
    with pytest.raises(ConfigurationError, match=r"swa copies the network, which raised TypeError: .*lock"):
        StochasticAverage(Locked(2, 2), configuration, data, "fp32")
