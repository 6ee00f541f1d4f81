"""Learning-rate schedules in closed form, so that a resumed trial needs no schedule state.

Formulas and sources are in docs/training.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hpo.config.configuration import Configuration

ONE_CYCLE_RISE = 0.3
"""Share of the steps over which one_cycle rises if ``warmup_epochs`` is 0, as in torch's OneCycleLR."""


IMAGES_OF_RATE = 1024
"""Images that a decoupled learning rate and weight decay are for. Jordan 2024."""


def peak_learning_rate(configuration: Configuration) -> float:
    """Return the peak of the rate that the optimizer gets.

    A decoupled rate is that of the whole movement over ``IMAGES_OF_RATE`` images. Momentum multiplies a
    constant gradient by 1 / (1 - momentum), also Nesterov's.
    """
    if not _is_decoupled(configuration):
        return configuration.lr
    share = configuration.batch_size / IMAGES_OF_RATE
    return configuration.lr * share * (1 - configuration.momentum)


def weight_decay(configuration: Configuration) -> float:
    """Return the coefficient that the optimizer gets, which it multiplies by the learning rate."""
    if not _is_decoupled(configuration):
        return configuration.weight_decay
    return configuration.weight_decay / configuration.lr


def _is_decoupled(configuration: Configuration) -> bool:
    return configuration.decoupled and configuration.optimizer == "sgd"


def learning_rate(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of step ``step``, 0-based over the whole training.

    It rises linearly over the first ``warmup_epochs``, lr * (step + 1) / warm-up steps; the schedule starts
    after them. one_cycle's rise is its warm-up: ONE_CYCLE_RISE of all steps unless ``warmup_epochs`` is set.
    """
    peak = peak_learning_rate(configuration)
    total = configuration.epochs * steps_per_epoch
    warmup = _warmup_steps(configuration, steps_per_epoch)
    if step < warmup:
        return peak * (step + 1) / warmup
    epochs = (step - warmup) / steps_per_epoch
    progress = (step - warmup) / max(1, total - warmup)
    return peak * SCHEDULES[configuration.schedule](configuration, epochs, progress)


def _warmup_steps(configuration: Configuration, steps_per_epoch: int) -> int:
    if configuration.schedule == "one_cycle" and configuration.warmup_epochs == 0:
        return round(ONE_CYCLE_RISE * configuration.epochs * steps_per_epoch)
    return round(configuration.warmup_epochs * steps_per_epoch)


def _constant(configuration: Configuration, epochs: float, progress: float) -> float:
    return 1.0


def _step(configuration: Configuration, epochs: float, progress: float) -> float:
    return float(configuration.lr_decay ** math.floor(epochs / configuration.step_epochs))


def _exponential(configuration: Configuration, epochs: float, progress: float) -> float:
    return float(configuration.lr_decay**epochs)


def _inverse_time(configuration: Configuration, epochs: float, progress: float) -> float:
    return 1 / (1 + configuration.lr_decay * epochs)


def _cosine(configuration: Configuration, epochs: float, progress: float) -> float:
    final = configuration.final_lr_fraction
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def _one_cycle(configuration: Configuration, epochs: float, progress: float) -> float:
    return 1 - (1 - configuration.final_lr_fraction) * progress


def _triangular(configuration: Configuration, epochs: float, progress: float) -> float:
    peak, first, last = (
        configuration.peak_position,
        configuration.initial_lr_fraction,
        configuration.final_lr_fraction,
    )
    if progress < peak:
        return first + (1 - first) * progress / peak
    return 1 - (1 - last) * (progress - peak) / (1 - peak) if peak < 1 else 1.0


SCHEDULES: dict[str, Callable[[Configuration, float, float], float]] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
    "inverse_time": _inverse_time,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
    "triangular": _triangular,
}
"""The share of the peak learning rate, given epochs since the warm-up and progress from 0 to 1 after it."""
