"""A training program as people write it by hand: every part that can be wrong is one that can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.data.augment import augment
from hpo.data.preprocess import Preprocessor
from hpo.rng import Key
from hpo.training.model_factory import build_model
from hpo.training.optim import StepRegularizer, build_optimizer
from hpo.training.schedules import learning_rate

CLASSES = 10


def network(configuration: Configuration, key: Key, sample: Tensor) -> nn.Module:
    """The configuration's network, its weights a function of ``key``."""
    return build_model(
        configuration, classes=CLASSES, in_shape=STANDARD.shape, key=key / "weights", sample=sample
    )


def preprocessed(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Images (N, 3, 32, 32) float32 from bytes, as the configuration's preprocessing makes them."""
    return preprocessor(pixels)


def augmented(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """A batch, randomly changed as the configuration specifies."""
    return augment(images, configuration.augmentation, configuration.augmentation_strength, generator)


def everything(labels: Tensor, generator: torch.Generator) -> Tensor:
    """The training examples that are used: all."""
    return torch.arange(len(labels))


def true_labels(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Labels (N,) as they are."""
    return labels


def shuffled_batches(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Positions (B,) of each batch of an epoch, in a new order; full batches only."""
    order = torch.randperm(len(labels), generator=generator)
    size = min(configuration.batch_size, len(order))
    yield from order[: len(order) // size * size].split(size)


def cross_entropy(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch, with the configuration's label smoothing."""
    return F.cross_entropy(logits, labels, label_smoothing=configuration.label_smoothing)


def own_optimizer(configuration: Configuration, model: nn.Module) -> Optimizer:
    """The configuration's optimizer over the model's parameters."""
    return build_optimizer(model, configuration)


@dataclass(frozen=True)
class Step:
    """What one update works with."""

    loss: Tensor
    """(), with its graph."""
    optimizer: Optimizer
    regularizer: StepRegularizer
    model: nn.Module


def usual_update(step: Step) -> None:
    """zero_grad, backward, clipping and L1, step, max-norm."""
    step.optimizer.zero_grad()
    step.loss.backward()
    step.regularizer.before_step()
    step.optimizer.step()
    step.regularizer.after_step()


def to_train(model: nn.Module) -> None:
    """Training mode, at the start of each epoch."""
    model.train()


def to_eval(model: nn.Module) -> None:
    """Evaluation mode, before each validation."""
    model.eval()


@dataclass(frozen=True)
class Program:
    """A configuration and the parts of a training script; the defaults are a sound script."""

    configuration: Configuration
    build: Callable[[Configuration, Key, Tensor], nn.Module] = network
    prepare_train: Callable[[Preprocessor, Tensor], Tensor] = preprocessed
    prepare_val: Callable[[Preprocessor, Tensor], Tensor] = preprocessed
    augment: Callable[[Configuration, Tensor, torch.Generator], Tensor] = augmented
    choose: Callable[[Tensor, torch.Generator], Tensor] = everything
    train_labels: Callable[[Tensor, torch.Generator], Tensor] = true_labels
    val_labels: Callable[[Tensor, torch.Generator], Tensor] = true_labels
    batches: Callable[[Configuration, Tensor, torch.Generator], Iterator[Tensor]] = shuffled_batches
    loss: Callable[[Configuration, Tensor, Tensor], Tensor] = cross_entropy
    optimizer: Callable[[Configuration, nn.Module], Optimizer] = own_optimizer
    lr: Callable[[Configuration, int, int], float] = learning_rate
    """The rate of a step, given its number from 0 and the steps per epoch."""
    update: Callable[[Step], None] = usual_update
    train_mode: Callable[[nn.Module], None] = to_train
    eval_mode: Callable[[nn.Module], None] = to_eval
