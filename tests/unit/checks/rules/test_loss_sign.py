"""Losses with the wrong sign, and losses that are meant to be below 0."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hpo
from hpo.checks.loss_facts import LossFacts, LossTerm
from hpo.checks.observations import Observations, Task, TensorFacts
from hpo.checks.rules.loss_sign import (
    impossible_loss,
    less_likely,
    lost_bound,
    pushes_away,
    runaway_loss,
)
from tests.helpers.observed import LIMITS, audit, one, seen, setup

MSE = LossTerm("mse", 1, False)


def observed(losses: np.ndarray, *terms: LossTerm, task: Task | None = None) -> Observations:
    graph = LossFacts(0, terms)
    return seen(losses=losses, loss_graphs=[graph], setup=replace(setup(), task=task), ended=True)


def falling(start: float, end: float, steps: int = 120) -> np.ndarray:
    return np.linspace(start, end, steps)


@pytest.mark.parametrize("terms", [(MSE,), (LossTerm("nll", 1, False), LossTerm("square", -1, False))])
def test_impossible_loss_parts_that_cannot_be_negative_are_turned_around(
    terms: tuple[LossTerm, ...],
) -> None:
    found = one(impossible_loss(observed(falling(1, -2), *terms), LIMITS), "warn", "wrong_loss")
    assert found.remedy.change == {"code": "fix_loss_sign"} and "-2" in found.message
    assert impossible_loss(observed(falling(1, 0.1), *terms), LIMITS) == []
    assert impossible_loss(observed(np.array([1.0, -1e-9]), *terms), LIMITS) == []


def test_impossible_loss_some_parts_may_be_negative() -> None:
    weighted, unknown = LossTerm("square", 1, True), LossTerm("other", 1, False)
    for terms in [(weighted,), (MSE, unknown), (LossTerm("log_softmax", 1, False),), ()]:
        assert impossible_loss(observed(falling(1, -2), *terms), LIMITS) == []


def test_impossible_loss_labels_out_of_range_make_some_entropies_negative() -> None:
    found = one(impossible_loss(observed(falling(0.7, -0.2), LossTerm("bce", 1, False)), LIMITS), "warn")
    assert found.remedy.change == {"code": "fix_labels"}


def test_impossible_loss_all_parts_are_subtracted_and_it_is_always_below_0() -> None:
    turned = LossTerm("square", -1, True)
    regression = observed(falling(-1, -2), turned, task="regression")
    one(impossible_loss(regression, LIMITS), "warn", "wrong_loss")
    assert impossible_loss(observed(falling(-1, -2), turned, MSE), LIMITS) == []
    assert impossible_loss(observed(falling(1, -2), turned), LIMITS) == []
    assert impossible_loss(observed(falling(-1, -2), turned, task="reinforcement"), LIMITS) == []


def test_impossible_loss_without_targets_something_may_be_meant_to_grow() -> None:
    variance = LossTerm("square", -1, False)
    one(impossible_loss(observed(falling(-1, -2), variance), LIMITS), "note", "wrong_loss")
    labeled = replace(
        observed(falling(-1, -2), variance), labels=TensorFacts((8,), floats=True, low=0.0, high=1.0)
    )
    one(impossible_loss(labeled, LIMITS), "warn", "wrong_loss")


def test_pushes_away_needs_every_audited_step() -> None:
    pushed, pulled = audit(pull=0.02), audit(pull=0.98)
    one(pushes_away(seen(audits=[pushed, pushed]), LIMITS), "warn", "wrong_loss")
    for audits in ([pushed, pulled], [pulled], [audit(pull=0.5)], [audit()], []):
        assert pushes_away(seen(audits=audits), LIMITS) == []
    maximizing = replace(setup(), maximizes=True)
    assert pushes_away(seen(audits=[pushed], setup=maximizing), LIMITS) == []


@pytest.mark.parametrize("losses", [falling(1, -50), -np.exp(np.linspace(0, 40, 120)), np.full(120, -1e9)])
def test_runaway_loss_falls_far_below_0_and_no_more_slowly(losses: np.ndarray) -> None:
    losses = np.concatenate([[1.0], losses])
    one(runaway_loss(observed(losses), LIMITS), "warn", "wrong_loss")
    assert runaway_loss(observed(losses, task="reinforcement"), LIMITS) == []
    critics = seen(losses=losses, setup=replace(setup(), optimizers=2), ended=True)
    assert runaway_loss(critics, LIMITS) == []


def test_runaway_loss_likelihoods_and_similarities_are_sound() -> None:
    density = 3 - 12 * (1 - np.exp(-np.linspace(0, 6, 300)))  # of a flow, in nats
    cosine = -1 + np.exp(-np.linspace(0, 6, 300))
    image = falling(300, -600)  # summed over pixels, and still on its way
    for losses in (density, cosine, image, falling(2, 0.1), falling(1, -50, 30)):
        assert runaway_loss(observed(losses), LIMITS) == []


def test_less_likely_is_a_question() -> None:
    plus, minus = LossTerm("log_softmax", 1, True), LossTerm("log_softmax", -1, True)
    one(less_likely(observed(falling(1, 0), plus), LIMITS), "note", "wrong_loss")
    for terms in [(minus,), (plus, minus), (MSE,)]:
        assert less_likely(observed(falling(1, 0), *terms), LIMITS) == []


LOSSES = {
    "negated": (lambda out, y: -F.l1_loss(out, y), "wrong_loss"),
    "negated by a number": (lambda out, y: -1 * F.huber_loss(out, y), "wrong_loss"),
    "sound": (F.l1_loss, ""),
    "below 0 by design": (lambda out, y: F.mse_loss(out, y) - 4, ""),
    "a density": (lambda out, y: -torch.distributions.Normal(out, 0.2).log_prob(y).mean(), ""),
    "a weighed one": (lambda out, y: (torch.rand(len(y), 1) * (out - y) ** 2).mean(), ""),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loop_with_a_loss_of_the_wrong_sign(name: str) -> None:
    torch.manual_seed(0)
    loss_of, cause = LOSSES[name]
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sitter = hpo.Babysitter(model, optimizer)
    for _ in range(100):
        inputs = torch.randn(32, 4)
        labels = inputs.sum(1, keepdim=True)
        loss: Tensor = loss_of(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels)
    sitter.after()
    blamed = {each.cause for each in sitter.findings if each.severity in ("warn", "fatal")}
    assert blamed == ({cause} if cause else set())
    assert not math.isnan(sitter.seen.audits[0].pull)


def test_impossible_loss_log_probabilities_that_are_to_fall() -> None:
    likely = LossTerm("log_softmax", 1, True)
    below = observed(falling(-4, -8), likely, task="classification")
    one(impossible_loss(below, LIMITS), "warn", "wrong_loss")
    for other in (LossTerm("log_softmax", -1, True), LossTerm("log_softmax", 1, True)):
        above = observed(falling(4, 1), other, task="classification")
        assert impossible_loss(above, LIMITS) == []
    assert impossible_loss(observed(falling(-4, -8), likely, task="reinforcement"), LIMITS) == []


@pytest.mark.parametrize(("kind", "sound"), [("lower_bound", -1), ("upper_bound", 1)])
def test_lost_bound_the_bound_of_a_clipped_objective_has_a_sign(kind: str, sound: int) -> None:
    losses = falling(1, 0.5)
    one(lost_bound(observed(losses, LossTerm(kind, -sound, False), MSE), LIMITS), "warn", "wrong_loss")
    assert lost_bound(observed(losses, LossTerm(kind, sound, False), MSE), LIMITS) == []
    assert lost_bound(observed(losses, LossTerm(kind, -sound, True)), LIMITS) == []
    assert lost_bound(observed(losses, MSE), LIMITS) == []
