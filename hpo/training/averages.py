"""Averages of a network's weights over its training.

Lookahead (Zhang et al. 2019; with the schedule of Jordan 2024) keeps an exponential average of weights and
statistics, and every few steps continues from it. Stochastic weight averaging (Izmailov et al. 2018) averages
the weights at the ends of the last epochs in a network of its own, whose statistics are measured again.
"""

from __future__ import annotations

import copy
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpo.config.configuration import Configuration
from hpo.errors import ConfigurationError
from hpo.heartbeat import beat
from hpo.training.data import TrialData, as_many_as_standard
from hpo.training.forward import logits_of
from hpo.training.network_state import load_network_state, network_state
from hpo.training.precision import Resolved

STATISTICS_IMAGES = 5000
"""Training images on which the statistics of averaged weights are measured."""
_BATCH = 500
_COUNTS = ":averaged"
"""In a state, the last epoch that was averaged and how many were; no module has such a name."""

State = dict[str, Tensor]


class WeightAverage(Protocol):
    """What is averaged while a network trains."""

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and kept."""
        ...

    def after_step(self, done: int, steps_per_epoch: int) -> None:
        """Follow an update; ``done`` are the updates so far over all epochs."""

    def end_epoch(self, epoch: int) -> None:
        """Prepare the evaluation after ``epoch`` (1-based). Harmless if it is called again."""

    def state(self) -> State:
        """Return what ``load`` needs besides the network's weights; its tensors change with the next step."""
        ...

    def load(self, state: State) -> None:
        """Continue from a ``state``."""


class NoAverage:
    """The network as it is."""

    def __init__(self, model: nn.Module) -> None:
        self.judged = model

    def after_step(self, done: int, steps_per_epoch: int) -> None:
        """Do nothing."""

    def end_epoch(self, epoch: int) -> None:
        """Do nothing."""

    def state(self) -> State:
        """Return nothing."""
        return {}

    def load(self, state: State) -> None:
        """Do nothing."""


class Lookahead:
    """An exponential average of all floating-point weights and statistics, from which training continues.

    After the first ``lookahead_start`` of the epochs, every k = ``lookahead_steps`` steps, the average
    becomes r times it and 1 - r times the weights, and these become the average; at step t of T, r is
    ``lookahead_decay``^k (t / T)^``lookahead_power``. At the end of an epoch the weights are the average.
    """

    def __init__(self, model: nn.Module, configuration: Configuration) -> None:
        self.judged = model
        self._configuration = configuration
        self._first_epoch = round(configuration.lookahead_start * configuration.epochs)
        self._average: State = {}

    @torch.no_grad()
    def after_step(self, done: int, steps_per_epoch: int) -> None:
        """See ``WeightAverage``."""
        wanted = self._configuration
        every = wanted.lookahead_steps
        if done <= self._first_epoch * steps_per_epoch or done % every:
            return
        if not self._average:
            self._average = {name: each.clone() for name, each in _floats(self.judged).items()}
            return
        progress = done / (wanted.epochs * steps_per_epoch)
        rate = wanted.lookahead_decay**every * progress**wanted.lookahead_power
        for name, each in _floats(self.judged).items():
            self._average[name].lerp_(each, 1 - rate)
        self.end_epoch(0)

    @torch.no_grad()
    def end_epoch(self, epoch: int) -> None:
        """See ``WeightAverage``."""
        if self._average:
            for name, each in _floats(self.judged).items():
                each.copy_(self._average[name])

    def state(self) -> State:
        """See ``WeightAverage``."""
        return dict(self._average)

    def load(self, state: State) -> None:
        """See ``WeightAverage``."""
        self._average = {
            name: state[name].to(each.device).clone(memory_format=torch.preserve_format)
            for name, each in _floats(self.judged).items()
            if name in state
        }


class StochasticAverage:
    """The mean of the weights at the ends of the epochs after the first ``swa_start`` of them.

    Before, the network as it is. What is neither a weight nor a statistic is the network's latest.
    """

    def __init__(
        self, model: nn.Module, configuration: Configuration, data: TrialData, precision: Resolved
    ) -> None:
        self._model = model
        self._first = min(configuration.epochs, round(configuration.swa_start * configuration.epochs) + 1)
        self._data, self._precision = data, precision
        self._epoch = self._count = 0
        try:
            self._averaged = copy.deepcopy(model)
        except Exception as error:  # of the user's objects: a lock, an open file
            raise ConfigurationError(
                f"weight_average: swa copies the network, which raised {type(error).__name__}: {error}"
            ) from error

    @property
    def judged(self) -> nn.Module:
        """See ``WeightAverage``."""
        return self._averaged if self._count else self._model

    def after_step(self, done: int, steps_per_epoch: int) -> None:
        """Do nothing."""

    @torch.no_grad()
    def end_epoch(self, epoch: int) -> None:
        """See ``WeightAverage``."""
        if epoch < self._first or epoch <= self._epoch:  # a resumed evaluation ends the same epoch again
            return
        self._epoch, self._count = epoch, self._count + 1
        means = {name: each.clone() for name, each in self._averaged.named_parameters()}
        load_network_state(self._averaged, network_state(self._model))
        for name, each in self._averaged.named_parameters():
            each.copy_(means[name].lerp_(each, 1 / self._count))
        measure_statistics(self._averaged, self._data, self._precision)

    def state(self) -> State:
        """See ``WeightAverage``."""
        if not self._count:
            return {}
        return {**network_state(self._averaged), _COUNTS: torch.tensor([self._epoch, self._count])}

    @torch.no_grad()
    def load(self, state: State) -> None:
        """See ``WeightAverage``."""
        if not state:
            return
        self._epoch, self._count = state[_COUNTS].tolist()
        load_network_state(self._averaged, {name: each for name, each in state.items() if name != _COUNTS})


def make_average(
    model: nn.Module, configuration: Configuration, data: TrialData, precision: Resolved
) -> WeightAverage:
    """Return the configuration's average of a network that is on its device."""
    if configuration.weight_average == "lookahead":
        return Lookahead(model, configuration)
    if configuration.weight_average == "swa":
        return StochasticAverage(model, configuration, data, precision)
    return NoAverage(model)


@torch.no_grad()
def measure_statistics(model: nn.Module, data: TrialData, precision: Resolved) -> None:
    """Set the running statistics of batch normalizations to the means over training images, not augmented."""
    layers = [each for each in model.modules() if isinstance(each, _BatchNorm) and each.track_running_stats]
    if not layers:
        return
    training, momenta = model.training, [each.momentum for each in layers]
    model.eval()
    for each in layers:
        each.reset_running_stats()
        each.momentum = None  # the mean over all batches
        each.train()
    images = data.train
    count = min(len(images), as_many_as_standard(STATISTICS_IMAGES, images.pixels))
    positions = torch.arange(count, device=images.rows.device) * len(images) // count
    size = as_many_as_standard(_BATCH, images.pixels)
    for chunk in positions.tensor_split(-(-count // size)):  # of nearly equal size: none is of one image
        batch = images.batch(chunk)[0].contiguous(memory_format=torch.channels_last)
        logits_of(model, batch, images.rows.device, precision)
        beat()
    for each, momentum in zip(layers, momenta, strict=True):
        each.momentum = momentum
    model.train(training)


def _floats(model: nn.Module) -> State:
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: each for name, each in tensors.items() if each.is_floating_point()}
