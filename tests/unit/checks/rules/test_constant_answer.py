"""Squared errors that end where a constant answer would."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.data_facts import DataFacts, Dependence
from hpo.checks.loss_facts import LossFacts, LossTerm
from hpo.checks.measure.loss_kind import constant_loss
from hpo.checks.observations import Observations, StepAudit
from hpo.checks.rules.constant_answer import constant_answer
from tests.helpers.observed import LIMITS, audit, one, seen, setup

FLAT = np.concatenate([np.linspace(3, 1, 50), np.full(150, 0.98)])
KNOWN = [audit(loss=3.0, constant_loss=each) for each in (0.9, 1.0, 1.1)]


def ended(audits: list[StepAudit], losses: np.ndarray, *kinds: str, **changes: Any) -> Observations:
    """A training whose loss has parts of these kinds, a squared error by default."""
    terms = tuple(LossTerm(kind, 1, False) for kind in kinds or ("mse",))
    return seen(audits=audits, losses=losses, loss_graphs=[LossFacts(0, terms)], **changes)


def test_constant_answer_is_what_is_left_of_a_training() -> None:
    found = one(constant_answer(ended(KNOWN, FLAT), LIMITS), "warn", "not_learning")
    assert "0.98" in found.message
    for losses in (0.8 * FLAT, np.linspace(3, 0.97, 200), FLAT[:80]):
        assert constant_answer(ended(KNOWN, losses), LIMITS) == []


@pytest.mark.parametrize(
    ("variety", "moved", "peak", "cause"),
    [
        (0.5, 0.4, 3.0, "labels_do_not_match"),
        (0.0, 0.4, 3.0, "not_learning"),
        (0.5, 1e-3, 3.0, "not_learning"),
        (0.5, math.nan, 3.0, "not_learning"),
        (0.5, 0.4, 1e3, "not_learning"),
    ],
)
def test_constant_answer_accuses_targets_only_if_all_else_works(
    variety: float, moved: float, peak: float, cause: str
) -> None:
    audits = [replace(each, variety=variety) for each in KNOWN]
    data = DataFacts(dependence=Dependence(moved=moved))
    losses = np.concatenate([[3.0, peak], FLAT])
    one(constant_answer(ended(audits, losses, data=data), LIMITS), "warn", cause)


def test_constant_answer_needs_a_squared_error_with_targets_that_differ() -> None:
    same = [replace(each, constant_loss=1e-9) for each in KNOWN]  # a generator's: all 1
    for audits in ([audit()], [], same):
        assert constant_answer(ended(audits, FLAT), LIMITS) == []
    assert constant_answer(ended(KNOWN, FLAT, "mse", "square"), LIMITS) == []
    game = replace(setup(), task="reinforcement")
    assert constant_answer(ended(KNOWN, FLAT, setup=game), LIMITS) == []


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


def test_constant_loss_of_what_a_mask_leaves() -> None:
    torch.manual_seed(0)
    output, targets = torch.randn(64, 8, requires_grad=True), 3 * torch.randn(64, 8)
    mask = (torch.rand(64, 8) < 0.5).float()
    loss = (mask * (output - targets) ** 2).sum() / mask.sum()
    loss.backward()
    assert output.grad is not None
    assert float(constant_loss(output, output.grad, loss.detach())) == pytest.approx(9, rel=0.15)
    chosen = torch.zeros(64, 8).scatter_(1, torch.randint(8, (64, 1)), 1)
    output.grad, loss = None, (chosen * (output - targets) ** 2).sum() / 64
    loss.backward()
    assert constant_loss(output, output.grad, loss.detach()).isnan()  # type: ignore[arg-type]
