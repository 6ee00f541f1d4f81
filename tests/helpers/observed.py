"""Observations of a sound training, in which a test changes what it is about; what every finding keeps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from hpo.checks.causes import CAUSES
from hpo.checks.observations import EpochFacts, ForwardRecord, Observations, Setup, StepAudit
from hpo.checks.preflight import (
    ImageFacts,
    LabelFacts,
    LogitFacts,
    LossProbe,
    Memorization,
    Preflight,
    Snapshot,
)
from hpo.config.configuration import Configuration
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, LayerStatistics

LIMITS = Thresholds()
NAN = math.nan
LN10 = math.log(10)

CODE_FIXES = {
    *("remove_output_activation", "use_cross_entropy", "fix_loss_sign", "use_mean_reduction", "scale_input"),
    "use_binary_cross_entropy",
    *("centre_input", "same_normalization", "fix_labels", "shuffle_batches", "unfreeze", "reattach"),
    *("give_all_parameters", "call_zero_grad", "call_step", "call_train", "fix_norm_momentum", "rebalance"),
    *(
        "fix_shapes",
        "ignore_padding",
        "replace_hidden_activation",
        "fix_bias",
        "weaken_augmentation",
        "scale_loss",
    ),
    *("call_eval", "no_grad", "hide_answer", "split_data", "seed_workers", "use_input"),
}
"""What a remedy may tell the author of a loop to change."""


def setup(**changes: Any) -> Setup:
    """Five epochs of 100 steps of SGD on ten classes."""
    sound = Setup(
        classes=10,
        optimizer="sgd",
        lr=0.05,
        momentum=0.9,
        weight_decay=0.0,
        epochs=5,
        steps_per_epoch=100,
        settings={"batch_size": 128, "schedule": "constant"},
        parameters=6,
        frozen=(),
        unoptimized=(),
        foreign_parameters=0,
        dropout=0.0,
        frozen_norms=(),
    )
    return replace(sound, **changes)


def layer(name: str = "conv1", **changes: Any) -> LayerStatistics:
    """A layer followed by a ReLU, in a step of a thousandth of its size."""
    sound = LayerStatistics(
        name=name,
        nonlinearity="ReLU",
        mean=0.4,
        std=0.6,
        dead=0.05,
        saturated=NAN,
        gradient_norm=0.1,
        weight_norm=5.0,
        update_ratio=1e-3,
        constant_outputs=0.0,
    )
    return replace(sound, **changes)


def snapshot(*layers: LayerStatistics, step: int = 0, lr: float = 0.05, loss: float = 2.3) -> Snapshot:
    """Three layers unless others are given; the last is the classifier."""
    sound = (layer("conv1"), layer("conv2"), layer("classifier", nonlinearity=""))
    return Snapshot(step, lr, loss, 0.1, layers or sound)


def images(**changes: Any) -> ImageFacts:
    """Standardized images."""
    return replace(ImageFacts(256, (0.0,) * 3, (1.0,) * 3, 0.0, 1.0, -2.0, 2.1), **changes)


def preflight(**changes: Any) -> Preflight:
    """A sound network: loss ln 10, memorizes, evaluates repeatably."""
    sound = Preflight(
        images=images(),
        labels=LabelFacts((25,) * 9 + (31,), 0, 9),
        val_images=None,
        val_labels=None,
        loss=2.31,
        penalty=None,
        logits=LogitFacts(-0.5, 0.6, -0.3, 0.3, 0.1, 0.1),
        loss_probe=None,
        memorization=Memorization(20, 1.0, 11, 2.31, 0.4, 3.0, ()),
        layers=snapshot(
            layer("conv1", update_ratio=NAN),
            layer("conv2", update_ratio=NAN),
            layer("classifier", nonlinearity="", update_ratio=NAN),
            step=-1,
            lr=0.0,
        ),
        without_gradient=(),
        identical_units=(),
        eval_noise=0.0,
        eval_batch_effect=0.0,
        gradient_error=None,
    )
    return replace(sound, **changes)


def probed(**changes: Any) -> LossProbe:
    """What cross-entropy gives."""
    return replace(LossProbe(LN10, 0.0, 20.0, LN10), **changes)


def falling(steps: int, start: float = LN10, end: float = 0.8, noise: float = 0.05) -> np.ndarray:
    """Losses (steps,) that come down as 1 / (1 + t), with some scatter."""
    course = end + (start - end) / (1 + 8 * np.arange(steps) / steps)
    return course + noise * np.random.default_rng(0).standard_normal(steps)


def epochs(
    val_accuracy: Iterable[float],
    train_accuracy: Iterable[float] | None = None,
    val_loss: Iterable[float] | None = None,
    train_loss: Iterable[float] | None = None,
) -> list[EpochFacts]:
    """A curve of 100 steps an epoch; what is not given follows from validation accuracy."""
    val = list(val_accuracy)
    train = list(train_accuracy) if train_accuracy is not None else [each + 0.02 for each in val]
    val_losses = list(val_loss) if val_loss is not None else [2.5 * (1 - each) for each in val]
    train_losses = list(train_loss) if train_loss is not None else [2.5 * (1 - each) for each in train]
    numbers = zip(train_losses, train, val_losses, val, strict=True)
    return [EpochFacts(number, 100 * number, *facts) for number, facts in enumerate(numbers, 1)]


def forward(step: int = 0, **changes: Any) -> ForwardRecord:
    """A pass of the loop in which gradients were recorded."""
    return replace(ForwardRecord(step, True, True, (), 0.0, 1.0, NAN), **changes)


def audit(step: int = 0, **changes: Any) -> StepAudit:
    """A step of a sound loop with SGD and momentum."""
    sound = StepAudit(step, 50, 2.3, 2.3, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.9, 1.0)
    return replace(sound, **changes)


def seen(**changes: Any) -> Observations:
    """A sound training that has ended; ``setup`` and ``preflight`` may be given too."""
    sound: dict[str, Any] = {
        "setup": setup(),
        "preflight": preflight(),
        "losses": falling(500),
        "snapshots": [snapshot(step=step) for step in (0, 8, 32, 95)],
        "forwards": [
            forward(0),
            forward(1, stale_gradient=0.0),
            forward(100, learning=False, training_mode=False),
        ],
        "audits": [audit(step) for step in (0, 1, 2)],
        "batch_classes": [10] * 20,
        "curve": epochs([0.3, 0.4, 0.45, 0.48, 0.485]),
        "optimizer_steps": 500,
        "val_images": 1000,
        "ended": True,
    }
    return Observations(**{**sound, **changes})


def one(findings: list[Finding], severity: str, cause: str | None = None) -> Finding:
    """The only finding, which keeps what every finding promises."""
    assert len(findings) == 1
    found = findings[0]
    assert found.severity == severity
    check_finding(found)
    if cause is not None:
        assert found.cause == cause
    return found


def check_finding(found: Finding) -> None:
    """A cause that is known, a message in words, a remedy that a program can apply."""
    assert not found.cause or found.cause in CAUSES
    assert found.message and found.message.strip() == found.message
    assert 0 <= found.confidence <= 1
    if found.severity in ("warn", "fatal"):
        assert found.cause
    check_change(found.remedy.change)


def check_change(change: Any) -> None:
    """A mistake in the code by its name, or fields of a configuration with values that it takes."""
    if "code" in change:
        assert set(change) == {"code"} and change["code"] in CODE_FIXES
    elif change:
        Configuration(**change)
