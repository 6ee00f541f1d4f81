"""Losses, optimizers, schedules, updates and modes gone wrong: replacements for a program's parts."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from diagnosis_programs.program import Step, network, own_optimizer, usual_update
from diagnosis_programs.tuning.mistakes_in_model import batch_norms
from hpo.config.configuration import Configuration
from hpo.models.initializers import weight_layers
from hpo.rng import Key

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
    """Negative log-likelihood of probabilities instead of their logarithms."""
    return F.nll_loss(logits.softmax(1), labels)


def squared_class_number(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Squared error between each output and the number of the class."""
    return F.mse_loss(logits, labels.float().unsqueeze(1).expand_as(logits))


def probability_of_the_truth(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """The mean probability of the true class, to be made small."""
    return logits.softmax(1).gather(1, labels.unsqueeze(1)).mean()


def easiest_tenth(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Mining of hard examples with the order reversed: only the smallest losses of the batch."""
    losses = F.cross_entropy(logits, labels, reduction="none")
    return losses.topk(max(1, len(labels) // 10), largest=False).values.mean()


def of_mean_logits(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over the batch is taken of the logits, before the loss instead of after it."""
    return F.cross_entropy(logits.mean(0, keepdim=True).expand_as(logits), labels)


def labels_of_the_neighbour(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Each example with the label of the one before it in the batch."""
    return F.cross_entropy(logits, labels.roll(1))


def squared_error(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Summed over the classes of one-hot targets: unusual, and right (Hui & Belkin 2021)."""
    return (logits - F.one_hot(labels, logits.shape[1])).square().sum(1).mean()


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


def of_the_first_stage(configuration: Configuration, model: nn.Module) -> Optimizer:
    """Given the first child of the network alone."""
    assert isinstance(model, nn.Sequential)
    return own_optimizer(configuration, model[0])


def maximizing(configuration: Configuration, model: nn.Module) -> Optimizer:
    """Uphill, as for a reward."""
    optimizer = own_optimizer(configuration, model)
    for group in optimizer.param_groups:
        group["maximize"] = True
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


def linear_over_ten_steps(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """Falls linearly to 0 over a length that was given in epochs, and is counted in steps."""
    return configuration.lr * max(0.0, 1 - step / 10)


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


@torch.no_grad()
def in_fixed_point(step: Step) -> None:
    """Weights are kept in steps of 1/64: nearly every update is smaller, and rounded away."""
    usual_update(step)
    for parameter in step.model.parameters():
        parameter.copy_((parameter * 64).round() / 64)


def skips_on_overflow(step: Step) -> None:
    """A fixed loss scale of 2**40: every gradient overflows float16, and every step is left out."""
    scale = 2.0**40
    step.optimizer.zero_grad()
    (step.loss * scale).backward()
    found = [each.grad for each in step.model.parameters() if each.grad is not None]
    if all(bool(gradient.half().isfinite().all()) for gradient in found):
        for gradient in found:
            gradient.div_(scale)
        step.optimizer.step()


# --- modes ---


def stays(model: nn.Module) -> None:
    """The call was forgotten: the mode stays what it was."""


def zero_grad_each_epoch(model: nn.Module) -> None:
    """zero_grad is called at the start of the epoch instead of the step."""
    model.zero_grad()
    model.train()


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
