"""Squared errors that end where a constant answer would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.measure.loss_kind import constant_loss
from hpo.checks.rules.constant_answer import constant_answer
from tests.helpers.observed import LIMITS, audit, one, seen, setup

FLAT = np.concatenate([np.linspace(3, 1, 50), np.full(150, 0.98)])
KNOWN = [audit(loss=3.0, constant_loss=each) for each in (0.9, 1.0, 1.1)]


def test_constant_answer_is_what_is_left_of_a_training() -> None:
    found = one(constant_answer(seen(audits=KNOWN, losses=FLAT), LIMITS), "warn", "not_learning")
    assert "0.98" in found.message
    for losses in (0.8 * FLAT, np.linspace(3, 0.97, 200), FLAT[:80]):
        assert constant_answer(seen(audits=KNOWN, losses=losses), LIMITS) == []


def test_constant_answer_needs_a_squared_error_with_targets_that_differ() -> None:
    same = [replace(each, constant_loss=1e-9) for each in KNOWN]  # a generator's: all 1
    for audits in ([audit()], [], same):
        assert constant_answer(seen(audits=audits, losses=FLAT), LIMITS) == []
    game = replace(setup(), task="reinforcement")
    assert constant_answer(seen(audits=KNOWN, losses=FLAT, setup=game), LIMITS) == []


ERRORS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "mean": (F.mse_loss, 1.0),
    "sum": (lambda out, y: F.mse_loss(out, y, reduction="sum"), 128.0),
    "by example": (lambda out, y: (out - y).square().sum(1).mean(), 4.0),
    "half": (lambda out, y: 0.5 * F.mse_loss(out, y), 0.5),
}


@pytest.mark.parametrize("name", ERRORS)
def test_constant_loss_is_that_of_the_targets_mean(name: str) -> None:
    torch.manual_seed(0)
    error, times = ERRORS[name]
    output, targets = torch.randn(32, 4, requires_grad=True), torch.randn(32, 4)
    loss = error(output, targets)
    loss.backward()
    assert output.grad is not None
    variance = float(targets.var(0).mean())  # of the best constant answer to more such targets
    assert float(constant_loss(output, output.grad, loss)) == pytest.approx(times * variance, rel=1e-3)


@pytest.mark.parametrize(
    "error",
    [
        F.l1_loss,
        F.smooth_l1_loss,
        lambda out, y: -F.mse_loss(out, y),
        lambda out, y: F.mse_loss(out, y) + out.abs().mean(),
        lambda out, y: F.mse_loss(out[:, 0], y[:, 0]),
        lambda out, y: F.binary_cross_entropy_with_logits(out, y.sigmoid()),
    ],
)
def test_constant_loss_is_unknown_of_other_losses(error: Callable[[Tensor, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    output, targets = torch.randn(32, 4, requires_grad=True), torch.randn(32, 4)
    loss = error(output, targets)
    loss.backward()
    assert output.grad is not None and constant_loss(output, output.grad, loss).isnan()
