"""Networks and their first weights gone wrong: replacements for a program's ``build``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from diagnosis_programs.program import network
from hpo.config.configuration import Configuration
from hpo.models.activations import named_activation_layers
from hpo.models.initializers import weight_layers
from hpo.rng import Key

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


@torch.no_grad()
def deviation_without_root(model: nn.Module) -> nn.Module:
    """He's variance, 2 / n, taken for the standard deviation."""
    for layer in weight_layers(model):
        layer.weight.normal_().mul_(2 / layer.weight[0].numel())
    return model


@torch.no_grad()
def between_minus_one_and_one(model: nn.Module) -> nn.Module:
    """Uniform on [-1, 1] in every layer, whatever its size."""
    for layer in weight_layers(model):
        layer.weight.uniform_(-1, 1)
    return model


@torch.no_grad()
def zero_scales(model: nn.Module) -> nn.Module:
    """Every normalization starts at scale 0, which only the last one of a residual branch may."""
    for layer in batch_norms(model):
        layer.weight.zero_()
    return model


@torch.no_grad()
def one_dead_layer(model: nn.Module) -> nn.Module:
    """Biases of the last hidden layer alone at -20."""
    bias = weight_layers(model)[-2].bias
    assert bias is not None
    bias.fill_(-20)
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


def frozen_by_name(model: nn.Module) -> nn.Module:
    """Whatever has "conv" in its name, as the names of blocks have: their normalizations too."""
    for name, parameter in model.named_parameters():
        if "conv" in name:
            parameter.requires_grad_(False)
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


class Unrecorded(nn.Module):
    """Runs its layers under no_grad."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to features."""
        features: Tensor = self.inner(x)
        return features


def unrecorded_features(model: nn.Module) -> nn.Module:
    """All but the head is run under no_grad, left over from evaluation."""
    assert isinstance(model, nn.Sequential)
    return nn.Sequential(Unrecorded(nn.Sequential(*list(model)[:-1])), model[-1])


class Rounded(nn.Module):
    """ReLU, then the nearest integer: the derivative is 0 wherever there is one."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to the same."""
        return x.relu().round()


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


def foreign_statistics(model: nn.Module) -> nn.Module:
    """Running statistics come from another training, and momentum 0 keeps them."""
    for layer in batch_norms(model):
        assert layer.running_mean is not None and layer.running_var is not None
        layer.running_mean.fill_(2.0)
        layer.running_var.fill_(9.0)
        layer.momentum = 0.0
    return model


def in_evaluation(model: nn.Module) -> nn.Module:
    """Handed over in evaluation mode, as a loaded network is."""
    return model.eval()
