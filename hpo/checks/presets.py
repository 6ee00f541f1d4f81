"""Presets: which checks run when. Every check has the same form, so this list is all there is to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hpo.checks.base import Finding
from hpo.checks.evaluation import evaluation
from hpo.checks.exploding_loss import exploding_loss, stayed_finite
from hpo.checks.fit import early_best, overfitting, underfitting, unfinished
from hpo.checks.gradient_check import gradient_check
from hpo.checks.initial_loss import initial_loss, regularized_loss
from hpo.checks.input_scale import input_scale, split_difference
from hpo.checks.labels import labels
from hpo.checks.layer_signals import (
    activation_scale,
    dead_units,
    gradient_scale,
    hidden_softmax,
    saturated_units,
)
from hpo.checks.learned import learned
from hpo.checks.learning import not_learning
from hpo.checks.loop_mistakes import batch_composition, stale_gradients, training_mode
from hpo.checks.loss_function import first_step_loss, loss_function
from hpo.checks.norm_statistics import norm_statistics
from hpo.checks.observations import Observations
from hpo.checks.output_layer import output_layer
from hpo.checks.overfit_small import looks_at_input, overfit_small
from hpo.checks.parameters import gradient_reaches, trained_parameters
from hpo.checks.symmetric_units import symmetric_units
from hpo.checks.updates import momentum, no_update, update_ratio
from hpo.spec.thresholds import Thresholds

Check: TypeAlias = Callable[[Observations, Thresholds], list[Finding]]
"""Pure: what has been seen so far, and the thresholds → findings."""

BEFORE: tuple[Check, ...] = (
    *(input_scale, split_difference, labels, initial_loss, regularized_loss, loss_function, output_layer),
    *(trained_parameters, gradient_reaches, symmetric_units, activation_scale, hidden_softmax, dead_units),
    *(saturated_units, gradient_scale, momentum, overfit_small, looks_at_input, evaluation, gradient_check),
)
"""Once, on the untrained network."""

DURING: tuple[Check, ...] = (
    *(exploding_loss, not_learning, first_step_loss, no_update, update_ratio, dead_units, saturated_units),
    *(gradient_scale, training_mode, stale_gradients, batch_composition, split_difference, norm_statistics),
)
"""At every look."""

AFTER: tuple[Check, ...] = (stayed_finite, learned, overfitting, underfitting, unfinished, early_best)
"""Once, on the finished training."""
