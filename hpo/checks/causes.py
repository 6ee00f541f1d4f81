"""The root causes that a verdict can name, and which causes follow from which."""

from __future__ import annotations

from dataclasses import dataclass

HEALTHY = "healthy"
"""Nothing is wrong, and the network learned."""
NOTHING_SEEN = "nothing_wrong_seen"
"""Nothing wrong was found, but not everything was looked at, or nothing shows that the network learned."""
NOT_ENOUGH = "not_enough_seen"
"""There was no training to judge."""
UNSEEN = "unseen"
"""The note that there was none, and why."""
NOT_CHECKED = "not_checked"
"""The checks were off."""
BEYOND_LIMIT = "beyond_limit"
"""It has more, or less, of a quantity than the study's ``limit`` allows."""
OUTCOMES = {
    HEALTHY: "healthy",
    NOTHING_SEEN: "nothing wrong seen",
    NOT_ENOUGH: "not enough seen",
    NOT_CHECKED: "not checked",
    BEYOND_LIMIT: "beyond the limit",
}
"""The verdicts that blame nothing, with their labels."""


@dataclass(frozen=True)
class Cause:
    """A root cause: its ``label`` in verdicts, and the causes it ``explains`` as its consequences.

    ``resembles`` is the cause that it is most easily mistaken for: the next to consider.
    """

    label: str
    explains: tuple[str, ...] = ()
    resembles: str = ""


_FLAT = ("not_learning", "underfitting")
"""The symptoms of every training that stalls."""
_STALLED = (
    *_FLAT,
    *("vanishing_gradients", "dead_units", "saturated_units", "lr_too_low", "labels_do_not_match"),
)
_WILD = (*_FLAT, "exploding_loss", "exploding_gradients", "dead_units", "saturated_units")
_APART = ("overfitting", "not_learning", "labels_do_not_match")
SYMPTOMS = (*_FLAT, "exploding_loss")
"""Named as a cause only where nothing explains them."""

CAUSES: dict[str, Cause] = {
    # mistakes that are certain once observed
    "out_of_memory": Cause("out of memory"),
    "error": Cause("error"),
    "worker_died": Cause("given up"),
    "time_limit": Cause("time limit"),
    "memory_limit": Cause("memory limit"),
    "bad_labels": Cause(
        "labels out of range",
        (*_STALLED, "class_imbalance", "exploding_loss"),
        resembles="labels_do_not_match",
    ),
    "wrong_loss": Cause(
        "wrong loss function",
        (*_STALLED, *_WILD, "lr_too_high", "softmax_twice"),
        resembles="labels_do_not_match",
    ),
    "softmax_twice": Cause("bounded outputs before cross-entropy", _STALLED, resembles="wrong_loss"),
    "no_update": Cause(
        "weights are never updated",
        (*_STALLED, "frozen_parameters", "detached"),
        resembles="frozen_parameters",
    ),
    "frozen_parameters": Cause(
        "parameters are not trained", (*_STALLED, "stale_gradients", "lr_too_high"), resembles="detached"
    ),
    "detached": Cause(
        "part of the network gets no gradient", (*_STALLED, "lr_too_high"), resembles="frozen_parameters"
    ),
    "graph_kept": Cause("graphs of earlier steps are kept", resembles="detached"),
    "stale_gradients": Cause(
        "gradients accumulate",
        (*_STALLED, *_WILD, "lr_too_high", "momentum_too_high"),
        resembles="lr_too_high",
    ),
    "eval_mode": Cause(
        "trained in evaluation mode",
        (*_STALLED, *_WILD, "norm_statistics", "train_val_mismatch", "validation_mode"),
        resembles="norm_statistics",
    ),
    "wrong_gradient": Cause("wrong backward pass", (*_STALLED, *_WILD), resembles="wrong_loss"),
    # data
    "batch_composition": Cause(
        "batches are not shuffled",
        (*_STALLED, *_APART, "train_val_mismatch", "class_imbalance", "lr_too_high"),
        resembles="class_imbalance",
    ),
    "class_imbalance": Cause(
        "imbalanced classes", (*_STALLED, *_APART, "train_val_mismatch"), resembles="batch_composition"
    ),
    "norm_statistics": Cause(
        "wrong normalization statistics", (*_APART, "train_val_mismatch"), resembles="eval_mode"
    ),
    "label_leak": Cause(
        "the answer is in the input", (*_FLAT, "overfitting", "train_val_mismatch"), resembles="wrong_loss"
    ),
    "validation_leak": Cause(
        "validation examples are trained on", ("overfitting",), resembles="train_val_mismatch"
    ),
    "validation_mode": Cause(
        "validation runs like training", ("norm_statistics", "train_val_mismatch"), resembles="eval_mode"
    ),
    "train_val_mismatch": Cause("training and validation differ", _APART, resembles="augmentation"),
    "input_scale": Cause(
        "inputs are badly scaled",
        (*_STALLED, *_WILD, "bad_init", "lr_too_high", "ignores_input"),
        resembles="ignores_input",
    ),
    # settings
    "augmentation": Cause(
        "augmentation destroys the inputs",
        (*_STALLED, *_WILD, "lr_too_high", "train_val_mismatch"),
        resembles="train_val_mismatch",
    ),
    "momentum_too_high": Cause(
        "momentum too high", (*_STALLED, *_WILD, "lr_too_high"), resembles="lr_too_high"
    ),
    "over_regularized": Cause("over-regularized", (*_STALLED, "lr_too_high"), resembles="augmentation"),
    "schedule": Cause(
        "wrong learning rate schedule", (*_STALLED, *_WILD, "lr_too_high"), resembles="lr_too_low"
    ),
    "batch_size": Cause("too few steps", _STALLED, resembles="lr_too_low"),
    # signals
    "ignores_input": Cause(
        "the network ignores its input",
        (*_STALLED, "bad_init", "symmetric_units"),
        resembles="input_scale",
    ),
    "symmetric_units": Cause("units are identical", (*_STALLED, "lr_too_high"), resembles="bad_init"),
    "bad_init": Cause(
        "bad initialization",
        (*_STALLED, *_WILD, "symmetric_units", "lr_too_high"),
        resembles="vanishing_gradients",
    ),
    "lr_too_high": Cause(
        "learning rate too high",
        (*_WILD, "vanishing_gradients", "norm_statistics", "labels_do_not_match"),
        resembles="momentum_too_high",
    ),
    "vanishing_gradients": Cause(
        "vanishing gradients",
        (*_FLAT, "lr_too_low", "saturated_units", "labels_do_not_match"),
        resembles="bad_init",
    ),
    "exploding_gradients": Cause(
        "exploding gradients", ("exploding_loss", "not_learning"), resembles="bad_init"
    ),
    "dead_units": Cause("dead units", (*_FLAT, "vanishing_gradients", "lr_too_low"), resembles="bad_init"),
    "saturated_units": Cause("saturated units", _FLAT, resembles="bad_init"),
    "lr_too_low": Cause("learning rate too low", _FLAT, resembles="schedule"),
    # what remains when nothing is more specific
    "labels_do_not_match": Cause(
        "labels do not match the inputs", (*_FLAT, "overfitting"), resembles="wrong_loss"
    ),
    "exploding_loss": Cause("exploded", resembles="lr_too_high"),
    "not_learning": Cause("did not learn", ("underfitting",), resembles="labels_do_not_match"),
    "underfitting": Cause("underfits", resembles="augmentation"),
    "overfitting": Cause("overfits", resembles="train_val_mismatch"),
    "few_validation_images": Cause("too few validation examples"),
}
"""Every cause by its name; of equally likely causes the first is named."""

JUDGED_BY_STUDY = frozenset({"labels_do_not_match", "train_val_mismatch"})
"""Accusations of data, labels and split. All trials of a study share these: a single trial only notes what it
saw, and the study's findings weigh all of it."""

_FORMER_LABELS = (
    *("bad start", "batches are not mixed", "gradients explode", "gradients pile up", "gradients vanish"),
    *("normalization statistics out of step", "the network does not look at its input"),
    *("unbalanced classes", "wrong course of the learning rate", "images are badly scaled"),
    *("augmentation destroys the images", "labels do not match the images", "too few validation images"),
)
"""Labels in the verdicts of older databases."""
_LABELS = frozenset({*(cause.label for cause in CAUSES.values()), *_FORMER_LABELS})


def is_blame(verdict: str) -> bool:
    """Return whether the text of a verdict says that something is wrong."""
    return not verdict.startswith(tuple(OUTCOMES.values()))


def evidence(verdict: str) -> str:
    """Return the text of a verdict without the label that it starts with."""
    label, colon, rest = verdict.partition(": ")
    return rest if colon and label in _LABELS else verdict
