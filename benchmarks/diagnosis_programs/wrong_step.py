"""Losses, optimizers, schedules, updates and modes gone wrong: replacements for a program's parts."""

from __future__ import annotations

import copy
import math

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


def of_vectors_alone(configuration: Configuration, model: nn.Module) -> Optimizer:
    """Given biases and normalizations alone: the group of those with weight decay was forgotten."""
    optimizer = own_optimizer(configuration, model)
    for group in optimizer.param_groups:
        group["params"] = [parameter for parameter in group["params"] if parameter.ndim <= 1]
    return optimizer


def before_body_is_replaced(configuration: Configuration, model: nn.Module) -> Optimizer:
    """Made first; then all layers but the classifier are replaced by others, as with a loaded body."""
    optimizer = own_optimizer(configuration, model)
    body = weight_layers(model)[:-1]
    names = [name for name, layer in model.named_modules() if any(layer is each for each in body)]
    for name in names:
        model.set_submodule(name, copy.deepcopy(model.get_submodule(name)))
    return optimizer


# --- schedules ---


def no_rate(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """Integer division: 0 at every step."""
    return configuration.lr * (step // (configuration.epochs * steps_per_epoch + 1))


def stepped_every_batch(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """A decay of 0.7, meant for each epoch, at each step."""
    return float(configuration.lr * 0.7**step)


def cosine_over_one_epoch(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """Its length was that of one epoch: at the end of the first, the rate is 0, and it stays there."""
    return configuration.lr * (1 + math.cos(math.pi * min(1.0, step / steps_per_epoch))) / 2


def thousand_epochs_of_warm_up(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """A warm-up of 1,000 steps, read as epochs."""
    return configuration.lr * (step + 1) / (1_000 * steps_per_epoch)


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


def train_once(model: nn.Module) -> None:
    """Called before the loop over epochs alone: after the first validation, evaluation mode stays."""
    if all(layer.num_batches_tracked == 0 for layer in batch_norms(model)):
        model.train()


def eval_without_statistics(model: nn.Module) -> None:
    """Evaluation with parameters alone: the running statistics were not copied with them."""
    for layer in batch_norms(model):
        layer.reset_running_stats()
    model.eval()
