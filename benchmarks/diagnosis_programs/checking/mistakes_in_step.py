"""The checking half's own mistakes in losses, optimizers, schedules, updates and modes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from diagnosis_programs.program import CLASSES, Step, usual_update
from hpo.config.configuration import Configuration
from hpo.training.optim import build_optimizer

# --- losses ---


def likelihood(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """The mean log-likelihood itself, to be made large, handed to an optimizer that makes it small."""
    return logits.log_softmax(1)[torch.arange(len(labels)), labels].mean()


def of_probabilities(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """softmax in front of a cross-entropy that has its own."""
    return F.cross_entropy(F.softmax(logits, dim=1), labels)


def summed_over_a_batch(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Added up example by example in a loop, and not divided by their number."""
    one_by_one = F.cross_entropy(logits, labels, reduction="none")
    return torch.stack(list(one_by_one)).sum()


def divided_by_the_set(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Divided by the size of the training set, as if for the mean of an epoch."""
    assert configuration.train_images is not None
    return F.cross_entropy(logits, labels) / configuration.train_images


def squared_error_of_probabilities(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error between probabilities and one-hot labels over examples and classes."""
    return F.mse_loss(logits.softmax(1), F.one_hot(labels, CLASSES).float())


def weights_of_the_rare(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Class weights of another data set, where the first six classes are frequent: 0.001 each."""
    weights = torch.ones(CLASSES)
    weights[:6] = 1e-3
    return F.cross_entropy(logits, labels, weight=weights)


def against_argmax(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """The prediction where the label should be: the network agrees with itself."""
    return F.cross_entropy(logits, logits.argmax(1))


def hinge_turned_round(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """A margin that the true class is to lie below the others."""
    return F.multi_margin_loss(-logits, labels)


def product_of_likelihoods(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """The logarithm after the product: that of a batch is below the least that is kept from log(0)."""
    likelihoods = logits.softmax(1).gather(1, labels.unsqueeze(1))
    return -likelihoods.prod().clamp(min=1e-30).log()


# --- optimizers ---


def of_last_block_and_head(configuration: Configuration, model: nn.Module) -> Optimizer:
    """Given what its author meant to fine-tune: the last block and the head of a network without training."""
    names = [name for name, _ in model.named_children()]
    kept = nn.ModuleList(model.get_submodule(name) for name in names[-3:])
    return build_optimizer(kept, configuration)


def of_every_bias(configuration: Configuration, model: nn.Module) -> Optimizer:
    """Given all that is named ``bias``: the filter that leaves these out was inverted."""
    biases = [each for name, each in model.named_parameters() if name.endswith("bias")]
    return torch.optim.SGD(biases, lr=configuration.lr, momentum=configuration.momentum)


# --- rates: (configuration, step, steps per epoch) to a rate ---


def plateau_of_a_maximum(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """Made smaller whenever the loss is not larger than before, each tenth step: ``mode="max"``."""
    return float(configuration.lr * 0.3 ** (step // 10))


def of_transformers(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """Taken over from transformers (Vaswani et al. 2017): 512^-0.5 * min(n^-0.5, n * 4000^-1.5) at step n."""
    number = step + 1
    return float(512**-0.5 * min(number**-0.5, number * 4000**-1.5))


# --- updates ---


def step_before_backward(step: Step) -> None:
    """zero_grad, step, backward: it steps with gradients that have just been cleared."""
    step.optimizer.zero_grad()
    step.optimizer.step()
    step.loss.backward()


def cleared_now_and_then(step: Step) -> None:
    """Accumulation over 25 steps, with a step after each and nothing divided."""
    group = step.optimizer.param_groups[0]
    group["calls"] = group.get("calls", 0) + 1
    if group["calls"] % 25 == 1:
        step.optimizer.zero_grad()
    step.loss.backward()
    step.optimizer.step()


def clears_the_head(step: Step) -> None:
    """The gradients of the head alone are cleared, as for fine-tuning."""
    step.model.get_submodule("head").zero_grad()
    step.loss.backward()
    step.regularizer.before_step()
    step.optimizer.step()


def in_eight_bits(step: Step) -> None:
    """Weights are kept in float8, 3 bits behind the point: an update below a thirtieth is rounded away."""
    usual_update(step)
    with torch.no_grad():
        for parameter in step.model.parameters():
            parameter.copy_(parameter.to(torch.float8_e4m3fn).to(parameter.dtype))


def averaged_back(step: Step) -> None:
    """The weights are replaced by their own moving average, with a decay of 0.9999, after every step."""
    before = [parameter.detach().clone() for parameter in step.model.parameters()]
    usual_update(step)
    with torch.no_grad():
        for parameter, old in zip(step.model.parameters(), before, strict=True):
            parameter.copy_(0.9999 * old + 0.0001 * parameter)


# --- modes ---


def evaluates_after_each_step(step: Step) -> None:
    """Evaluation mode for a progress bar after each step, and no way back before the next epoch."""
    usual_update(step)
    step.model.eval()


def body_in_eval(model: nn.Module) -> None:
    """Training mode for the last layer alone, as for fine-tuning: what is before it stays in evaluation."""
    model.eval()
    list(model.children())[-1].train()
