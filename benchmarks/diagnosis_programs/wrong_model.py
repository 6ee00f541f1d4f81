"""Networks and their first weights gone wrong: replacements for a program's ``build``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from diagnosis_programs.program import network
from hpo.models.activations import named_activation_layers
from hpo.models.initializers import weight_layers
from hpo.randomness import Key
from hpo.spec.configuration import Configuration

Build = Callable[[Configuration, Key, Tensor], nn.Module]
Change = Callable[[nn.Module], nn.Module]


def changed(change: Change) -> Build:
    """Build the configuration's network and put it through ``change``."""

    def build(configuration: Configuration, key: Key, sample: Tensor) -> nn.Module:
        return change(network(configuration, key, sample))

    return build


def with_output(activation: nn.Module) -> Build:
    """An activation behind the classifier."""
    return changed(lambda model: nn.Sequential(model, activation))


def with_hidden(activation: Callable[[], nn.Module]) -> Build:
    """Another activation in every hidden layer; weights start as for the old one."""

    def change(model: nn.Module) -> nn.Module:
        for name, _ in named_activation_layers(model):
            model.set_submodule(name, activation())
        return model

    return changed(change)


@torch.no_grad()
def dead_biases(model: nn.Module) -> nn.Module:
    """Biases of hidden layers at -10."""
    for layer in weight_layers(model)[:-1]:
        if layer.bias is not None:
            layer.bias.fill_(-10)
    return model


@torch.no_grad()
def dead_shifts(model: nn.Module) -> nn.Module:
    """Shifts of batch normalization at -6: no activation is above 0."""
    for layer in batch_norms(model):
        layer.bias.fill_(-6)
    return model


@torch.no_grad()
def identical_filters(model: nn.Module) -> nn.Module:
    """Every unit of a hidden layer is a copy of its first."""
    for layer in weight_layers(model)[:-1]:
        layer.weight.copy_(layer.weight[:1].expand_as(layer.weight))
    return model


@torch.no_grad()
def broken_weights(model: nn.Module) -> nn.Module:
    """A NaN in the second layer, from a damaged checkpoint."""
    weight_layers(model)[1].weight.view(-1)[0] = torch.nan
    return model


def scaled_weights(factor: float) -> Build:
    """All weights, the classifier's too, times ``factor``."""

    @torch.no_grad()
    def change(model: nn.Module) -> nn.Module:
        for layer in weight_layers(model):
            layer.weight.mul_(factor)
        return model

    return changed(change)


def frozen(model: nn.Module) -> nn.Module:
    """All but the classifier does not ask for gradients, as a tutorial on fine-tuning has it."""
    classifier = weight_layers(model)[-1]
    model.requires_grad_(False)
    classifier.requires_grad_(True)
    return model


def frozen_classifier(model: nn.Module) -> nn.Module:
    """The classifier does not ask for gradients."""
    weight_layers(model)[-1].requires_grad_(False)
    return model


class Detached(nn.Module):
    """Lets values through, and no gradient back."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to the same."""
        return x.detach()


def detached_features(model: nn.Module) -> nn.Module:
    """The head sees the features detached."""
    assert isinstance(model, nn.Sequential)
    return nn.Sequential(*list(model)[:-1], Detached(), model[-1])


def detached_residuals(model: nn.Module) -> nn.Module:
    """The branch of every residual block is detached; gradients flow along the shortcuts alone."""
    for name in [name for name, _ in model.named_modules() if name.endswith("conv2")]:
        model.set_submodule(name, nn.Sequential(model.get_submodule(name), Detached()))
    return model


def detached_halfway(model: nn.Module) -> nn.Module:
    """The input of the middle layer is detached: nothing before it learns."""
    layers = weight_layers(model)
    middle = layers[len(layers) // 2]
    name = next(name for name, layer in model.named_modules() if layer is middle)
    model.set_submodule(name, nn.Sequential(Detached(), middle))
    return model


class Times(nn.Module):
    """x times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to the same."""
        return x * self.factor


def blind(model: nn.Module) -> nn.Module:
    """A mask that is zero everywhere lies over the input."""
    return nn.Sequential(Times(0.0), model)


def zeroed_features(model: nn.Module) -> nn.Module:
    """The head gets zeros for the features: the wrong variable is passed on."""
    assert isinstance(model, nn.Sequential)
    return nn.Sequential(*list(model)[:-1], Times(0.0), model[-1])


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """All batch normalizations."""
    return [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]


def still_statistics(model: nn.Module) -> nn.Module:
    """Momentum 0: running statistics never move."""
    for layer in batch_norms(model):
        layer.momentum = 0.0
    return model
