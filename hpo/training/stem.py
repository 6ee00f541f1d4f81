"""Which epochs train the first layer of whitened patches."""

from __future__ import annotations

from torch import nn

from hpo.config.configuration import Configuration
from hpo.models.whitening import WhitenedPatches, late_filters


class StemSchedule:
    """Trains the filters after the first epochs and the biases in the first, by shares of all; at least one.

    What an epoch does not train gets no gradient, so that the optimizer leaves it as it is.
    """

    def __init__(self, module: nn.Module, configuration: Configuration) -> None:
        layers = [each for each in module.modules() if isinstance(each, WhitenedPatches)]
        self._filters = late_filters(module)
        self._biases = [each.bias for each in layers if each.bias is not None]
        self._frozen = round(configuration.stem_frozen_share * configuration.epochs)
        self._with_bias = max(1, round(configuration.stem_bias_share * configuration.epochs))

    def drop_gradients(self, epoch: int) -> None:
        """Drop the gradients of what ``epoch`` (1-based) does not train."""
        if epoch <= self._frozen:
            _drop(self._filters)
        if epoch > self._with_bias:
            _drop(self._biases)


def _drop(parameters: list[nn.Parameter]) -> None:
    for each in parameters:
        each.grad = None
