"""Causes: what can be at the root of a training that does not go well, in words, and what follows."""

from __future__ import annotations

from dataclasses import dataclass

HEALTHY = "healthy"


@dataclass(frozen=True)
class Cause:
    """``words`` is what a verdict calls it; ``explains`` are causes that are its consequences."""

    words: str
    explains: tuple[str, ...] = ()


_STALLED = (
    *("not_learning", "underfitting", "vanishing_gradients", "dead_units", "saturated_units", "lr_too_low"),
    *("ignores_input", "symmetric_units", "labels_do_not_match"),
)
_WILD = (
    "exploding_loss",
    "exploding_gradients",
    "dead_units",
    "saturated_units",
    "not_learning",
    "underfitting",
)
_APART = ("overfitting", "norm_statistics", "not_learning", "labels_do_not_match")

CAUSES: dict[str, Cause] = {
    "out_of_memory": Cause("out of memory"),
    "error": Cause("error"),
    "bad_labels": Cause("labels out of range", (*_STALLED, "class_imbalance", "exploding_loss")),
    "wrong_loss": Cause("wrong loss function", (*_STALLED, *_WILD, "lr_too_high")),
    "softmax_twice": Cause("bounded outputs before cross-entropy", _STALLED),
    "no_update": Cause("weights are never updated", (*_STALLED, "frozen_parameters", "detached")),
    "frozen_parameters": Cause("parameters are not trained", _STALLED),
    "detached": Cause("part of the network gets no gradient", _STALLED),
    "stale_gradients": Cause("gradients pile up", (*_WILD, "lr_too_high", "momentum_too_high", "lr_too_low")),
    "eval_mode": Cause("trained in evaluation mode", (*_STALLED, *_WILD, "norm_statistics")),
    "wrong_gradient": Cause("wrong backward pass", (*_STALLED, *_WILD)),
    "batch_composition": Cause(
        "batches are not mixed", (*_STALLED, *_APART, "class_imbalance", "lr_too_high")
    ),
    "class_imbalance": Cause("unbalanced classes", (*_STALLED, *_APART)),
    "train_val_mismatch": Cause("training and validation differ", (*_APART, "norm_statistics")),
    "input_scale": Cause("images are badly scaled", (*_STALLED, *_WILD, "bad_init", "lr_too_high")),
    "augmentation": Cause("augmentation destroys the images", (*_STALLED, "train_val_mismatch")),
    "momentum_too_high": Cause("momentum too high", (*_WILD, *_STALLED, "lr_too_high")),
    "over_regularized": Cause("over-regularized", _STALLED),
    "schedule": Cause("the learning rate vanishes", (*_STALLED,)),
    "batch_size": Cause("too few steps", (*_STALLED, "unfinished")),
    "symmetric_units": Cause("units are identical", _STALLED),
    "bad_init": Cause(
        "bad start",
        (*_STALLED, *_WILD, "symmetric_units", "lr_too_high"),
    ),
    "lr_too_high": Cause(
        "learning rate too high",
        (*_WILD, "vanishing_gradients", "norm_statistics", "labels_do_not_match", "ignores_input"),
    ),
    "vanishing_gradients": Cause(
        "gradients vanish",
        (
            "not_learning",
            "underfitting",
            "lr_too_low",
            "ignores_input",
            "saturated_units",
            "labels_do_not_match",
        ),
    ),
    "exploding_gradients": Cause("gradients explode", ("exploding_loss", "not_learning")),
    "dead_units": Cause(
        "dead units", ("not_learning", "underfitting", "vanishing_gradients", "ignores_input", "lr_too_low")
    ),
    "saturated_units": Cause("saturated units", ("not_learning", "underfitting", "ignores_input")),
    "norm_statistics": Cause("normalization statistics out of step", ("overfitting", "not_learning")),
    "lr_too_low": Cause("learning rate too low", ("not_learning", "underfitting", "ignores_input")),
    "ignores_input": Cause("the network does not look at its input", ("not_learning", "underfitting")),
    "labels_do_not_match": Cause(
        "labels do not match the images", ("not_learning", "overfitting", "underfitting")
    ),
    "exploding_loss": Cause("exploded"),
    "not_learning": Cause("did not learn", ("underfitting",)),
    "underfitting": Cause("underfits"),
    "overfitting": Cause("overfits"),
}
"""Every cause by its name, the certain ones first: of equally likely ones the first is named."""
