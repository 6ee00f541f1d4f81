"""What is known of a loop. A check states the facts that it needs and is skipped without them.

The task is stated, or inferred from the gradient of the loss, the shapes of outputs and labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from enum import Enum

from hpo.checks.observations import Observations, Task, TensorFacts


class Fact(Enum):
    """A fact; the value says how a loop makes it known, or is empty if it has it or not."""

    EXAMPLES = "call before() with a few dozen to hundreds of training examples"
    VAL_EXAMPLES = "pass validation examples to before()"
    BATCH_LABELS = "pass the labels of each batch to step()"
    LENGTH = "pass epochs and steps_per_epoch"
    LOSS_FUNCTION = "pass loss_function"
    VAL_ACCURACY = "pass val_accuracy and val_images to epoch()"
    VAL_LOSS = "pass val_loss to epoch()"
    CURVE = "pass train_accuracy, val_accuracy and val_loss to epoch()"
    CLASSIFICATION = "pass task='classification' and classes, if one of several classes is predicted"
    """One of C exclusive classes per example, and outputs (n, C)."""
    CONFIGURATION = "pass configuration, if hpo configured the training"
    """The training is as configured from start to end: nothing is frozen, unfrozen or scheduled by hand."""
    OWN_LOOP = "the loop is not hpo's"
    CROSS_ENTROPY = "pass loss_function and the labels of each batch, if the loss is a cross-entropy"
    """The loss is the mean cross-entropy of classification: guessing costs the entropy of the labels."""
    LOGITS = "the outputs are logits"
    """The outputs have not gone through log_softmax yet."""
    SUPERVISED = "pass task"
    """Every example has its own label, and training and validation examples are alike."""
    LOSS_FALLS = "pass task, if success lowers the loss"
    PIXELS = "the inputs are images (n, C, H, W)"
    OPTIMIZER = "pass the optimizer"
    LOSS_GRAPH = "pass the loss to step() as a tensor with its graph, not as loss.item()"
    FROM_START = "the training was watched from its first step"
    """Not resumed from a checkpoint that lacks what had been measured."""
    FIRST_ORDER = "one gradient makes one step"
    """Not LBFGS, which evaluates the loss many times a step."""
    FROM_SCRATCH = "all parameters are trained"


SUPPLIED = frozenset(
    {
        *(Fact.EXAMPLES, Fact.VAL_EXAMPLES, Fact.BATCH_LABELS, Fact.LENGTH, Fact.LOSS_FUNCTION),
        *(Fact.VAL_ACCURACY, Fact.VAL_LOSS, Fact.CURVE, Fact.OPTIMIZER, Fact.LOSS_GRAPH),
    }
)
"""The facts that a caller can add whatever is trained."""
_SUPERVISED = frozenset({"classification", "multilabel", "regression", "segmentation"})
_FALLING = _SUPERVISED | {"language_model"}
"""Tasks whose loss falls with success; the losses of games and policies need not."""
TASKS_WITH: Mapping[Fact, frozenset[str]] = {
    Fact.CLASSIFICATION: frozenset({"classification"}),
    Fact.CROSS_ENTROPY: frozenset({"classification"}),
    Fact.SUPERVISED: _SUPERVISED,
    Fact.LOSS_FALLS: _FALLING,
}
"""The tasks of which a fact can hold; others can hold of any task."""
EXCLUSIVE = ("cross_entropy", "nll", "cross_entropy_of_probabilities")
"""Losses of one of several exclusive classes."""
_ERRORS = frozenset({"mse", "l1", "abs", "smooth_l1", "huber", "squared_error"})
"""Terms of losses that are distances."""
_AGREES = 0.3
"""Relative difference of a loss from the cross-entropy that its gradient shows; class weights change it."""
_SAME_PULL = 0.5
"""Cosine with cross-entropy by the given labels, above which labels are those of the outputs."""
_LARGEST_CHANNELS = 4
_LOG_SUM = 0.02
"""Log-sum-exp of log-probabilities: 0 but for rounding in bf16."""


def task(seen: Observations) -> Task | None:
    """Return the task as stated, or as seen; None if it cannot be told."""
    return seen.setup.task or _told(seen)


def facts(seen: Observations) -> frozenset[Fact]:
    """Return everything that is known of a loop."""
    setup, kind = seen.setup, task(seen)
    known = {
        Fact.EXAMPLES: seen.preflight is not None,
        Fact.VAL_EXAMPLES: seen.preflight is not None and seen.preflight.val_images is not None,
        Fact.BATCH_LABELS: seen.batch_labels > 0,
        Fact.LENGTH: setup.total_steps is not None,
        Fact.LOSS_FUNCTION: seen.preflight is not None and seen.preflight.loss_probe is not None,
        Fact.VAL_ACCURACY: any(math.isfinite(each) for each in seen.accuracies()),
        Fact.VAL_LOSS: any(math.isfinite(epoch.val_loss) for epoch in seen.curve),
        Fact.CURVE: bool(seen.known_curve),
        Fact.OPTIMIZER: setup.optimizers > 0,
        Fact.LOSS_GRAPH: bool(seen.loss_graphs),
        Fact.FIRST_ORDER: setup.optimizers > 0 and "lbfgs" not in setup.optimizer,
        Fact.FROM_START: not seen.is_partial,
        Fact.FROM_SCRATCH: not setup.frozen,
        Fact.CONFIGURATION: setup.settings.keys() >= {"batch_size", "schedule"},
        Fact.SUPERVISED: kind in _SUPERVISED,
        Fact.LOSS_FALLS: kind in _FALLING or _is_alignment(seen),
        Fact.PIXELS: _has_pixels(seen),
    }
    classes = kind == "classification" and seen.classes > 1 and _one_row_each(seen)
    loss = loss_kind(seen)
    known[Fact.OWN_LOOP] = not known[Fact.CONFIGURATION]
    known[Fact.CLASSIFICATION] = classes
    alone = known[Fact.CONFIGURATION] or loss not in EXCLUSIVE or not _reports(seen)
    alone = alone or _is_confirmed(seen)  # it may be one of several terms
    known[Fact.CROSS_ENTROPY] = classes and loss in ("", *EXCLUSIVE) and alone
    known[Fact.LOGITS] = not _has_log_probabilities(seen)
    return frozenset(fact for fact, holds in known.items() if holds)


def _has_log_probabilities(seen: Observations) -> bool:
    if loss_kind(seen) == "nll":
        return True
    return seen.preflight is not None and seen.preflight.logits.log_sum < _LOG_SUM


def loss_kind(seen: Observations) -> str:
    """Return the loss that most audited steps had, one of ``hpo.checks.measure.loss_kind.KINDS``."""
    kinds = Counter(audit.kind for audit in seen.audits)
    return kinds.most_common(1)[0][0] if kinds else ""


def _told(seen: Observations) -> Task | None:
    output, loss = seen.output, loss_kind(seen)
    if _is_stated(seen):
        return "classification"
    if loss in EXCLUSIVE:
        return _kind_of_classification(seen) if _is_confirmed(seen) else None
    if loss.startswith("bce"):
        return "segmentation" if len(output) == 4 else "multilabel"
    if loss.startswith("mse") or _is_error(seen):
        return "regression"
    if _follows_labels(seen):
        return "classification"
    return None


def _is_error(seen: Observations) -> bool:
    """Whether the loss is the distance of outputs from as many numbers that the loop reports as labels."""
    kinds = frozenset().union(*(graph.kinds() for graph in seen.loss_graphs))
    labels, output = seen.labels, seen.output
    if not kinds or not kinds <= _ERRORS or labels is None or not labels.floats or seen.setup.optimizers > 1:
        return False
    return bool(output) and math.prod(output[1:]) == math.prod(labels.shape[1:])


def _is_alignment(seen: Observations) -> bool:
    return bool(seen.loss_graphs) and all(graph.kinds() == {"ctc"} for graph in seen.loss_graphs)


def _is_stated(seen: Observations) -> bool:
    """Whether the stated number of classes is that of outputs (n, C), and labels are integers (n,)."""
    output, labels = seen.output, seen.labels
    if seen.setup.classes < 2 or len(output) != 2 or output[1] != seen.setup.classes:
        return False
    return labels is None or _is_one_class_each(labels)


def _is_one_class_each(labels: TensorFacts) -> bool:
    return not labels.floats and len(labels.shape) == 1


def _is_confirmed(seen: Observations) -> bool:
    """Whether the reported losses are those of the cross-entropy that the gradients show.

    A policy's gradient has the same direction, but not the same loss.
    """
    known = [audit for audit in seen.audits if audit.kind in EXCLUSIVE and math.isfinite(audit.loss)]
    return any(
        abs(audit.loss - factor * audit.implied_loss) <= _AGREES * abs(factor * audit.implied_loss)
        for audit in known
        for factor in (1, audit.examples)
    )


def _reports(seen: Observations) -> bool:
    """Whether the losses of audited steps are known."""
    return any(math.isfinite(audit.loss) for audit in seen.audits)


def _follows_labels(seen: Observations) -> bool:
    """Whether a loss of another kind pulls outputs (n, C) to integer labels (n,)."""
    if len(seen.output) != 2 or seen.labels is None or not _is_one_class_each(seen.labels):
        return False
    known = [audit.cosine for audit in seen.audits if math.isfinite(audit.cosine)]
    return bool(known) and max(map(abs, known)) > _SAME_PULL


def _kind_of_classification(seen: Observations) -> Task:
    """Tell what has a cross-entropy: one label per example, per token or per pixel."""
    if len(seen.output) == 4:
        return "segmentation"
    return "classification" if _one_row_each(seen) and len(seen.output) == 2 else "language_model"


def _one_row_each(seen: Observations) -> bool:
    """Whether outputs are (n, C) for n inputs, as far as both are known."""
    inputs = next((audit.input for audit in seen.audits if audit.input), ())
    output = seen.output
    return not output or (len(output) == 2 and (not inputs or inputs[0] == output[0]))


def _has_pixels(seen: Observations) -> bool:
    """Whether inputs are floating point images (n, C, H, W)."""
    if seen.inputs is not None:
        return seen.inputs.floats and _is_image(seen.inputs.shape)
    audit = next((each for each in seen.audits if each.input), None)
    if audit is not None:
        return audit.input_floats and _is_image(audit.input)
    return seen.setup.task == "classification"  # recorded before inputs were


def _is_image(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[1] <= _LARGEST_CHANNELS
