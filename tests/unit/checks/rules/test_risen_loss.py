"""Losses that end far above their beginning, and those of tokens at the entropy of their classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hpo.checks.loss_facts import LossFacts, LossTerm
from hpo.checks.measure.loss_kind import class_entropy, tail_share
from hpo.checks.rules.constant_answer import constant_classes
from hpo.checks.rules.risen_loss import risen_loss
from tests.helpers.observed import LIMITS, audit, one, seen, setup

RISEN = np.concatenate([np.full(5, 1.0), np.linspace(1, 5, 60)])


def test_loss_that_ends_above_its_beginning_is_reported() -> None:
    known = replace(setup(), task="regression")
    one(risen_loss(seen(losses=RISEN, setup=known), LIMITS), "warn", "lr_too_high")
    assert risen_loss(seen(losses=RISEN[::-1].copy(), setup=known), LIMITS) == []
    assert risen_loss(seen(losses=RISEN, setup=replace(known, optimizers=2)), LIMITS) == []


def test_tokens_by_their_frequency_are_no_success() -> None:
    audits = [audit(kind="cross_entropy", loss=3.0, implied_loss=3.0, class_entropy=2.5)] * 3
    known = replace(setup(), task="language_model")
    flat = np.full(200, 2.49)
    terms = [LossFacts(0, (LossTerm("nll", 1, False),))]
    observed = seen(losses=flat, audits=audits, setup=known, loss_graphs=terms)
    assert "2.49" in one(constant_classes(observed, LIMITS), "warn", "not_learning").message
    for losses in (0.7 * flat, np.linspace(3, 2.4, 200), 3 * flat):
        assert constant_classes(replace(observed, losses=losses), LIMITS) == []


@pytest.mark.parametrize("is_nll", [True, False])
def test_padding_and_entropy_of_classes_are_seen_in_gradients(*, is_nll: bool) -> None:
    lengths = torch.randint(3, 12, (16,))
    lengths[0] = 12
    tokens = torch.where(torch.arange(12) < lengths[:, None], torch.randint(1, 6, (16, 12)), 0)
    output = torch.randn(16, 12, 6)
    output = (output.log_softmax(2) if is_nll else output).requires_grad_()
    loss = (F.nll_loss if is_nll else F.cross_entropy)(output.reshape(-1, 6), tokens.reshape(-1))
    (gradient,) = torch.autograd.grad(loss, output)
    assert float(tail_share(output.detach(), gradient)) == pytest.approx(float((tokens == 0).float().mean()))
    shares = torch.bincount(tokens.flatten()) / tokens.numel()
    assert float(class_entropy(output.detach(), gradient)) == pytest.approx(
        float(-(shares * shares.log()).sum()), rel=1e-4
    )
