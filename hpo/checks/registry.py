"""Which checks run when. Every check has the same signature, so these lists are the whole registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from hpo.checks.facts import Fact
from hpo.checks.observations import Observations
from hpo.checks.rules.activation_scale import activation_scale
from hpo.checks.rules.alike_augmentation import alike_augmentation
from hpo.checks.rules.batch_composition import batch_composition
from hpo.checks.rules.changed_labels import changed_labels
from hpo.checks.rules.class_recall import class_recall
from hpo.checks.rules.clipping import clipping
from hpo.checks.rules.constant_answer import constant_answer, constant_classes
from hpo.checks.rules.constant_inputs import constant_inputs
from hpo.checks.rules.constant_outputs import constant_outputs
from hpo.checks.rules.dead_units import dead_units
from hpo.checks.rules.descent import descent
from hpo.checks.rules.early_best import early_best
from hpo.checks.rules.evaluation import evaluation
from hpo.checks.rules.exploding_loss import diverging_loss, exploding_loss, stayed_finite
from hpo.checks.rules.few_examples import few_examples
from hpo.checks.rules.few_shades import few_shades
from hpo.checks.rules.first_signal import first_signal
from hpo.checks.rules.flat_loss import flat_loss
from hpo.checks.rules.gradient_check import gradient_check
from hpo.checks.rules.gradient_scale import gradient_scale
from hpo.checks.rules.hidden_softmax import hidden_softmax
from hpo.checks.rules.idle_weights import alike_units, frozen_as_drawn, without_gradient
from hpo.checks.rules.image_structure import image_structure
from hpo.checks.rules.initial_loss import initial_loss, regularized_loss
from hpo.checks.rules.input_scale import input_scale, split_difference
from hpo.checks.rules.interrupted import interrupted
from hpo.checks.rules.kept_graphs import kept_graphs
from hpo.checks.rules.label_noise import label_noise
from hpo.checks.rules.label_signal import label_signal
from hpo.checks.rules.labels import labels
from hpo.checks.rules.layer_input import layer_input
from hpo.checks.rules.learned import learned
from hpo.checks.rules.loss_function import first_step_loss, loss_function
from hpo.checks.rules.loss_gradient import loss_gradient
from hpo.checks.rules.loss_graph import loss_graph
from hpo.checks.rules.loss_kind import kind_of_loss
from hpo.checks.rules.loss_sign import (
    impossible_loss,
    less_likely,
    lost_bound,
    pushes_away,
    runaway_loss,
)
from hpo.checks.rules.lost_signal import lost_signal
from hpo.checks.rules.memorizes_only import memorizes_only
from hpo.checks.rules.momentum import momentum
from hpo.checks.rules.no_update import no_update, unchanged_weights
from hpo.checks.rules.norm_statistics import norm_statistics
from hpo.checks.rules.not_learning import ended_at_chance, not_learning
from hpo.checks.rules.opponents import opponents
from hpo.checks.rules.oscillation import oscillation
from hpo.checks.rules.output_layer import output_layer
from hpo.checks.rules.overfit_small import looks_at_input, overfit_small
from hpo.checks.rules.overfitting import overfitting, rising_validation_loss
from hpo.checks.rules.padding import padding
from hpo.checks.rules.parameters import gradient_reaches, trained_parameters, untrained_parameters
from hpo.checks.rules.plateau import plateau
from hpo.checks.rules.regularization import (
    decayed_weights,
    heavy_decay,
    heavy_regularization,
    shrinking_weights,
)
from hpo.checks.rules.risen_loss import risen_loss
from hpo.checks.rules.rough_start import rough_start
from hpo.checks.rules.same_batch import same_batch
from hpo.checks.rules.saturated_units import saturated_units
from hpo.checks.rules.schedule import schedule, schedule_at_end
from hpo.checks.rules.several_labels import several_labels
from hpo.checks.rules.shared_examples import shared_examples
from hpo.checks.rules.softmax_over_batch import softmax_over_batch
from hpo.checks.rules.sorted_labels import sorted_labels
from hpo.checks.rules.spikes import spikes
from hpo.checks.rules.split_gap import split_gap
from hpo.checks.rules.stale_gradients import stale_gradients
from hpo.checks.rules.step_count import step_count
from hpo.checks.rules.still_layers import still_layers
from hpo.checks.rules.symmetric_units import symmetric_units
from hpo.checks.rules.too_slow import too_slow
from hpo.checks.rules.training_mode import training_mode
from hpo.checks.rules.turned_targets import turned_targets
from hpo.checks.rules.underfitting import underfitting
from hpo.checks.rules.undone_update import undone_update
from hpo.checks.rules.unfinished import unfinished
from hpo.checks.rules.unrelated_labels import unrelated_labels
from hpo.checks.rules.update_ratio import update_ratio
from hpo.checks.rules.used_gradient import used_gradient
from hpo.checks.rules.validation_mode import validation_mode
from hpo.checks.rules.visible_answer import visible_answer
from hpo.checks.rules.whole_motion import hardly_moved, wild_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

Check: TypeAlias = Callable[[Observations, Thresholds], list[Finding]]
"""A pure function from observations and thresholds to findings."""

BEFORE: tuple[Check, ...] = (
    *(input_scale, few_shades, split_difference, image_structure, label_signal, labels),
    *(initial_loss, regularized_loss, loss_function, output_layer),
    *(trained_parameters, gradient_reaches, symmetric_units, activation_scale, hidden_softmax, dead_units),
    *(lost_signal, saturated_units, gradient_scale, momentum, clipping, step_count, heavy_regularization),
    *(overfit_small, looks_at_input, evaluation, gradient_check),
)
"""Once, on the untrained network."""

DURING: tuple[Check, ...] = (
    *(exploding_loss, not_learning, first_step_loss, no_update, update_ratio, dead_units, saturated_units),
    *(gradient_scale, training_mode, stale_gradients, batch_composition, split_difference, norm_statistics),
    *(schedule, shrinking_weights, memorizes_only, loss_gradient, used_gradient, descent, undone_update),
    *(still_layers, diverging_loss, kind_of_loss, loss_graph, softmax_over_batch),
    *(impossible_loss, pushes_away, lost_bound, runaway_loss, less_likely, padding, opponents),
    *(layer_input, same_batch, validation_mode, changed_labels),
)
"""In every round of checks (``steps_to_round``) and after every epoch."""

AFTER: tuple[Check, ...] = (
    *(stayed_finite, learned, rough_start, too_slow, spikes, oscillation, split_gap, label_noise),
    *(interrupted, memorizes_only, overfitting, underfitting, unfinished, early_best, plateau),
    *(runaway_loss, ended_at_chance, rising_validation_loss, untrained_parameters, unchanged_weights),
    *(schedule_at_end, kept_graphs, hardly_moved, wild_start),
    *(layer_input, same_batch, validation_mode, changed_labels, visible_answer, shared_examples),
    *(unrelated_labels, alike_augmentation, class_recall, constant_outputs, constant_answer),
    *(sorted_labels, few_examples, step_count, alike_units, without_gradient, frozen_as_drawn),
    *(risen_loss, constant_classes, constant_inputs, turned_targets, first_signal),
    *(labels, initial_loss, heavy_regularization, heavy_decay, flat_loss, several_labels, decayed_weights),
)
"""Once, on the finished training."""

_CLASSES = frozenset({Fact.CLASSIFICATION})
_LOSS = frozenset({Fact.CLASSIFICATION, Fact.CROSS_ENTROPY})
_BEFORE = frozenset({Fact.EXAMPLES})
_STEP = frozenset({Fact.OPTIMIZER, Fact.FIRST_ORDER})
_WHOLE = frozenset({Fact.OWN_LOOP, Fact.FROM_START})

NEEDS: Mapping[Check, frozenset[Fact]] = {
    input_scale: _BEFORE | {Fact.PIXELS},
    few_shades: _BEFORE | {Fact.PIXELS},
    split_difference: _BEFORE | {Fact.SUPERVISED},
    image_structure: _BEFORE | {Fact.VAL_EXAMPLES, Fact.PIXELS, Fact.SUPERVISED},
    label_signal: _BEFORE | _CLASSES | {Fact.VAL_EXAMPLES, Fact.PIXELS},
    labels: _BEFORE | _CLASSES,
    initial_loss: _BEFORE | _LOSS,
    regularized_loss: _BEFORE | _LOSS,
    loss_function: _BEFORE | _LOSS | {Fact.LOSS_FUNCTION, Fact.LOGITS},
    output_layer: _BEFORE | _LOSS | {Fact.LOGITS},
    trained_parameters: _BEFORE | {Fact.OPTIMIZER, Fact.CONFIGURATION},
    gradient_reaches: _BEFORE | _LOSS | {Fact.CONFIGURATION},
    symmetric_units: _BEFORE | {Fact.SUPERVISED},
    activation_scale: _BEFORE | {Fact.SUPERVISED},
    hidden_softmax: _BEFORE | _CLASSES,
    dead_units: _BEFORE | {Fact.SUPERVISED},
    lost_signal: _BEFORE | {Fact.SUPERVISED},
    saturated_units: _BEFORE | {Fact.SUPERVISED},
    gradient_scale: _BEFORE | _LOSS,
    momentum: frozenset({Fact.OPTIMIZER}),
    clipping: frozenset({Fact.OPTIMIZER}),
    step_count: _LOSS | _STEP | {Fact.LENGTH, Fact.FROM_SCRATCH},
    heavy_regularization: frozenset(),
    overfit_small: _BEFORE | _LOSS,
    looks_at_input: _BEFORE | _LOSS,
    evaluation: _BEFORE | {Fact.SUPERVISED},
    gradient_check: _BEFORE | _LOSS,
    exploding_loss: _LOSS,
    diverging_loss: frozenset(),
    kind_of_loss: frozenset({Fact.OWN_LOOP}),
    interrupted: frozenset({Fact.OWN_LOOP}),
    loss_graph: frozenset({Fact.LOSS_GRAPH}),
    softmax_over_batch: frozenset({Fact.LOSS_GRAPH}),
    impossible_loss: frozenset({Fact.LOSS_GRAPH}),
    less_likely: frozenset({Fact.LOSS_GRAPH}),
    lost_bound: frozenset({Fact.LOSS_GRAPH}),
    pushes_away: frozenset({Fact.OWN_LOOP}),
    padding: frozenset({Fact.OWN_LOOP}),
    opponents: frozenset({Fact.OWN_LOOP}),
    constant_answer: _WHOLE | {Fact.LOSS_GRAPH},
    runaway_loss: frozenset({Fact.OWN_LOOP}),
    not_learning: _LOSS | {Fact.LENGTH},
    first_step_loss: _BEFORE | _LOSS,
    no_update: frozenset({Fact.OPTIMIZER}),
    update_ratio: _BEFORE | _LOSS | _STEP,
    training_mode: frozenset(),
    stale_gradients: frozenset({Fact.OPTIMIZER}),
    batch_composition: _CLASSES | {Fact.BATCH_LABELS},
    norm_statistics: _BEFORE | _LOSS,
    schedule: _BEFORE | _STEP | {Fact.LENGTH, Fact.CONFIGURATION},
    schedule_at_end: frozenset({Fact.OPTIMIZER, Fact.OWN_LOOP}),
    kept_graphs: frozenset(),
    hardly_moved: _WHOLE,
    wild_start: frozenset({Fact.OWN_LOOP}),
    risen_loss: frozenset({Fact.OWN_LOOP, Fact.LOSS_FALLS}),
    constant_classes: _WHOLE,
    constant_inputs: _WHOLE,
    heavy_decay: frozenset({Fact.OWN_LOOP, Fact.OPTIMIZER}),
    first_signal: _WHOLE,
    turned_targets: _WHOLE,
    shrinking_weights: _BEFORE | {Fact.SUPERVISED},
    memorizes_only: _BEFORE | _LOSS,
    loss_gradient: _CLASSES | {Fact.BATCH_LABELS},
    used_gradient: _STEP,
    descent: _STEP,
    undone_update: _BEFORE | _STEP | {Fact.SUPERVISED},
    still_layers: _BEFORE | _STEP,
    stayed_finite: _LOSS,
    learned: _CLASSES | {Fact.VAL_ACCURACY},
    rough_start: _BEFORE | _LOSS | _STEP,
    too_slow: _BEFORE | _LOSS | _STEP,
    spikes: frozenset({Fact.LOSS_FALLS}),
    oscillation: frozenset({Fact.LOSS_FALLS}),
    split_gap: _CLASSES | {Fact.CURVE},
    label_noise: _LOSS | {Fact.CURVE},
    overfitting: _CLASSES | {Fact.CURVE},
    underfitting: _CLASSES | {Fact.CURVE},
    unfinished: _CLASSES | {Fact.CURVE},
    early_best: _CLASSES | {Fact.CURVE},
    plateau: _CLASSES | {Fact.CURVE},
    ended_at_chance: _LOSS,
    rising_validation_loss: frozenset({Fact.VAL_LOSS, Fact.LOSS_FALLS}),
    unchanged_weights: _WHOLE | {Fact.OPTIMIZER},
    untrained_parameters: _WHOLE | {Fact.OPTIMIZER},
    alike_units: _WHOLE | {Fact.OPTIMIZER},
    without_gradient: _WHOLE | {Fact.OPTIMIZER},
    frozen_as_drawn: _WHOLE | {Fact.OPTIMIZER},
    layer_input: _WHOLE,
    same_batch: _WHOLE,
    validation_mode: _WHOLE,
    changed_labels: _WHOLE | {Fact.BATCH_LABELS},
    visible_answer: _WHOLE,
    shared_examples: _WHOLE,
    unrelated_labels: _WHOLE,
    sorted_labels: _WHOLE | {Fact.BATCH_LABELS},
    few_examples: _WHOLE | {Fact.SUPERVISED},
    constant_outputs: _WHOLE | {Fact.BATCH_LABELS},
    alike_augmentation: _WHOLE,
    class_recall: _WHOLE | {Fact.BATCH_LABELS},
    several_labels: _WHOLE | {Fact.BATCH_LABELS},
    flat_loss: _STEP | _WHOLE | {Fact.LOSS_GRAPH},
    decayed_weights: _STEP | _WHOLE,
}
"""The facts that each check needs; without them it is skipped."""
