"""The checking half's own mistakes in networks and first weights: replacements for a program's ``build``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from diagnosis_programs.tuning.mistakes_in_model import Build, changed
from hpo.models.activations import named_activation_layers
from hpo.models.initializers import fans, weight_layers

# --- first weights ---


@torch.no_grad()
def times_fan_in(model: nn.Module) -> nn.Module:
    """Multiplied by the root of the fan-in, where it was to be divided by it."""
    for layer in weight_layers(model)[:-1]:
        layer.weight.mul_(fans(layer.weight.shape)[0])
    return model


@torch.no_grad()
def below_zero(model: nn.Module) -> nn.Module:
    """``rand - 1`` for ``2 * rand - 1``: no hidden weight is above 0."""
    for layer in weight_layers(model)[:-1]:
        layer.weight.copy_(-layer.weight.abs())
    return model


@torch.no_grad()
def large_classifier(model: nn.Module) -> nn.Module:
    """The new classifier of a network alone starts from N(0, 10^2)."""
    layer = weight_layers(model)[-1]
    layer.weight.mul_(10 / layer.weight.std())
    return model


@torch.no_grad()
def biases_of_minus_three(model: nn.Module) -> nn.Module:
    """Biases of hidden layers at -3: deep in the flat part."""
    for layer in weight_layers(model)[:-1]:
        if layer.bias is not None:
            layer.bias.fill_(-3)
    return model


@torch.no_grad()
def copies_in_scale(model: nn.Module) -> nn.Module:
    """Units of hidden layers differ by their scale alone: an outer product of two vectors."""
    for layer in weight_layers(model)[:-1]:
        first = layer.weight[:1].clone()
        scales = torch.linspace(0.9, 1.1, len(layer.weight)).view(-1, *[1] * (layer.weight.ndim - 1))
        layer.weight.copy_(scales * first)
    return model


# --- activations and outputs ---


def with_last_hidden(activation: nn.Module) -> Build:
    """Another activation in the last hidden layer alone."""

    def change(model: nn.Module) -> nn.Module:
        name, _ = named_activation_layers(model)[-1]
        model.set_submodule(name, activation)
        return model

    return changed(change)


class _InvertedMask(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (x <= 0)


class ReLUOfItsOwn(nn.Module):
    """ReLU with a backward pass written by hand, that lets through what it should stop."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _InvertedMask.apply(x)
        return result


class UnitLength(nn.Module):
    """Logits divided by their length, times a temperature that was never set: a cosine classifier."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.03 * nn.functional.normalize(x, dim=1)


class SigmoidShares(nn.Module):
    """A sigmoid for each class, divided by the sum over classes, in front of a cross-entropy."""

    def forward(self, x: Tensor) -> Tensor:
        scores = x.sigmoid()
        return scores / scores.sum(1, keepdim=True)


# --- gradients that do not come through ---


class ByWayOfNumpy(nn.Module):
    """Values go through an array and come back as a new tensor, without their history."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().float().numpy().copy()).to(x.dtype)


def classifier_by_way_of_numpy(model: nn.Module) -> nn.Module:
    """What goes into the maps of the classes has been an array."""
    model.set_submodule("maps", nn.Sequential(ByWayOfNumpy(), model.get_submodule("maps")))
    return model


def frozen_body(model: nn.Module) -> nn.Module:
    """A pretrained body is frozen, whose weights were never loaded: they are those that were drawn."""
    for parameter in list(model.parameters())[:-4]:
        parameter.requires_grad_(False)
    return model


def first_image_for_all(model: nn.Module) -> nn.Module:
    """``x[0]`` for ``x``: every image of a batch is seen as the first of them."""
    return nn.Sequential(_FirstImage(), model)


class _FirstImage(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:1].expand_as(x)
