"""Learning-rate schedules in closed form, so that a resumed trial needs no schedule state.

Formulas and sources are in docs/training.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hpo.config.configuration import Configuration

ONE_CYCLE_RISE = 0.3
"""Share of the steps over which one_cycle rises if ``warmup_epochs`` is 0, as in torch's OneCycleLR."""


def learning_rate(configuration: Configuration, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of step ``step``, 0-based over the whole training.

    It rises linearly over the first ``warmup_epochs``, lr * (step + 1) / warm-up steps; the schedule starts
    after them. one_cycle's rise is its warm-up: ONE_CYCLE_RISE of all steps unless ``warmup_epochs`` is set.
    """
    total = configuration.epochs * steps_per_epoch
    warmup = _warmup_steps(configuration, steps_per_epoch)
    if step < warmup:
        return configuration.lr * (step + 1) / warmup
    epochs = (step - warmup) / steps_per_epoch
    progress = (step - warmup) / max(1, total - warmup)
    return configuration.lr * SCHEDULES[configuration.schedule](configuration, epochs, progress)


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


SCHEDULES: dict[str, Callable[[Configuration, float, float], float]] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
    "inverse_time": _inverse_time,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
"""The share of the peak learning rate, given epochs since the warm-up and progress from 0 to 1 after it."""
