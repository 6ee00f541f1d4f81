"""Losses, optimizers, schedules, updates and modes gone wrong: replacements for a program's parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from diagnosis_programs.program import Step, network, own_optimizer
from diagnosis_programs.wrong_model import batch_norms
from hpo.models.initializers import weight_layers
from hpo.randomness import Key
from hpo.spec.configuration import Configuration

# --- losses ---


def negative_loss(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """The sign of a hand-written log-likelihood forgotten."""
    return -F.cross_entropy(logits, labels)


def summed_loss(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """The sum over the batch."""
    return F.cross_entropy(logits, labels, reduction="sum")


def mean_over_everything(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """A mean divided by the size of the batch once more."""
    return F.cross_entropy(logits, labels) / len(labels)


def nll_of_logits(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood without log_softmax: unbounded below."""
    return F.nll_loss(logits, labels)


def nll_of_probabilities(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of probabilities that are no logarithms."""
    return F.nll_loss(logits.softmax(1), labels)


def squared_class_number(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Squared error between each output and the number of the class."""
    return F.mse_loss(logits, labels.float().unsqueeze(1).expand_as(logits))


def negative_log_likelihood(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in its two halves, as it may well be written."""
    return F.nll_loss(F.log_softmax(logits, dim=1), labels)


# --- optimizers ---


def of_another_model(configuration: Configuration, model: nn.Module) -> Optimizer:
    """Made for a network that was then built again."""
    return own_optimizer(configuration, network(configuration, Key(1), torch.randn(8, 3, 32, 32)))


def of_the_classifier(configuration: Configuration, model: nn.Module) -> Optimizer:
    """Given the parameters of the last layer alone."""
    return own_optimizer(configuration, weight_layers(model)[-1])


# --- schedules ---


def no_rate(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """Integer division: 0 at every step."""
    return configuration.lr * (step // (configuration.epochs * steps_per_epoch + 1))


def stepped_every_batch(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """A decay of 0.7, meant for each epoch, at each step."""
    return float(configuration.lr * 0.7**step)


# --- updates ---


def without_zero_grad(step: Step) -> None:
    """Gradients pile up."""
    step.loss.backward()
    step.regularizer.before_step()
    step.optimizer.step()


def zero_grad_too_late(step: Step) -> None:
    """Between backward and step: nothing is left to step with."""
    step.loss.backward()
    step.optimizer.zero_grad()
    step.optimizer.step()


def without_step(step: Step) -> None:
    """Gradients are computed, and never used."""
    step.optimizer.zero_grad()
    step.loss.backward()


def in_half_precision(step: Step) -> None:
    """Gradients pass through float16 with a loss scale of 1e-7 (1e-6 cost 3 points only): most become 0."""
    scale = 1e-7
    step.optimizer.zero_grad()
    (step.loss * scale).backward()
    for parameter in step.model.parameters():
        if parameter.grad is not None:
            parameter.grad = parameter.grad.half().float() / scale
    step.optimizer.step()


# --- modes ---


def stays(model: nn.Module) -> None:
    """The call was forgotten: the mode stays what it was."""


def norms_in_eval(model: nn.Module) -> None:
    """Training mode, but batch normalization in evaluation mode, as for fine-tuning."""
    model.train()
    for layer in batch_norms(model):
        layer.eval()
