"""The loss before training: ln C if the network knows nothing, and more once it is regularized.

Source: CS231n lecture 6, "babysitting the learning process": ten classes start at ln 10 = 2.302, and
switching regularization on must raise that.
"""

from __future__ import annotations

import math

from hpo.checks.base import Finding

HIGH = 2.0
"""Warn above this multiple of ln C: confident and wrong, not merely unlucky. The trials of docs/lecture6.md,
with 14 activations and 9 initializers, start between 0.99 and 1.06 x ln C."""


def initial_loss(loss: float, classes: int) -> Finding:
    """Compare the data loss of the untrained network (nats, regularization off) with ln ``classes``."""
    expected = math.log(classes)
    if not math.isfinite(loss):
        return Finding(
            "initial_loss",
            "fatal",
            loss,
            expected,
            f"the loss is {loss} before the first step; an untrained network of {classes} classes gives "
            f"{expected:.3f}",
            "use initializer: he or xavier, or check the preprocessing",
        )
    if loss > HIGH * expected:
        return Finding(
            "initial_loss",
            "warn",
            loss,
            HIGH * expected,
            f"the first loss is {loss:.3f}, far above ln {classes} = {expected:.3f}: the network starts out "
            "confident and wrong",
            "use a smaller initialization (initializer: he, xavier or lsuv), or batch_norm: before",
        )
    return Finding(
        "initial_loss",
        "pass",
        loss,
        expected,
        f"the first loss is {loss:.3f}; ln {classes} = {expected:.3f}",
    )


def regularized_loss(loss: float, penalty: float) -> Finding:
    """Check that the regularization penalty (nats, at the first weights) raises the loss."""
    if penalty > 0:
        message = f"regularization raises the first loss from {loss:.3f} to {loss + penalty:.3f}"
        return Finding("regularized_loss", "pass", penalty, 0.0, message)
    return Finding(
        "regularized_loss",
        "warn",
        penalty,
        0.0,
        "regularization is on, but does not raise the loss: it acts on no weight, or all of them are zero",
        "check the initializer, or leave weight_decay and l1 at 0",
    )
