"""Sound losses of unusual kinds: below 0, with minus signs, over pairs of examples, or along the batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal
from torch.nn import functional as F

import hpo

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of outputs (B, 4), classes (B,) and values (B, 4)."""


def _policy(out: Tensor, classes: Tensor, values: Tensor) -> Tensor:
    choice = Categorical(logits=out)
    action = choice.sample()
    ratio = (choice.log_prob(action) - choice.log_prob(action).detach()).exp()
    advantage = (action == classes).float() - 0.25
    return torch.max(-advantage * ratio, -advantage * ratio.clamp(0.8, 1.2)).mean()


def _negative_rewards(out: Tensor, classes: Tensor, values: Tensor) -> Tensor:
    choice = Categorical(logits=out)
    action = choice.sample()
    return -(choice.log_prob(action) * ((action == classes).float() - 1)).mean()


def _focal(out: Tensor, classes: Tensor, values: Tensor) -> Tensor:
    right = out.softmax(1).gather(1, classes[:, None])
    return -((1 - right) ** 2 * right.log()).mean()


def _overlap(out: Tensor, classes: Tensor, values: Tensor) -> Tensor:
    shares, truth = out.sigmoid(), (values > 0).float()
    return -2 * (shares * truth).sum() / (shares.sum() + truth.sum())


def _both_ways(out: Tensor, classes: Tensor, values: Tensor) -> Tensor:
    alike = 5 * F.normalize(out, dim=1) @ F.normalize(values, dim=1).T
    return -(alike.log_softmax(0).diag().mean() + alike.log_softmax(1).diag().mean()) / 2


def _pairs(out: Tensor, classes: Tensor, values: Tensor) -> Tensor:
    scores, truth = out[:, :1], values[:, :1]
    return F.relu(1 - (scores - scores.T) * (truth - truth.T).sign()).mean()


LOSSES: dict[str, Loss] = {
    "clipped policy": _policy,
    "negative rewards": _negative_rewards,
    "focal": _focal,
    "overlap": _overlap,
    "contrast in both directions": _both_ways,
    "ranks": _pairs,
    "ranks of a list": lambda out, _, values: -(values[:, 0].softmax(0) * out[:, 0].log_softmax(0)).sum(),
    "counts": lambda out, _, values: F.poisson_nll_loss(out, torch.poisson(values.clamp(max=2).exp())),
    "density": lambda out, _, values: -Normal(out, 0.1).log_prob(0.1 * values).mean(),
    "smoothing by hand": lambda out, classes, _: (
        -((F.one_hot(classes, 4) * 0.9 + 0.025) * out.log_softmax(1)).sum(1).mean()
    ),
    "variance": lambda out, _, values: -F.normalize(out, dim=1).square().sum(1).mean(),
    "flooding": lambda out, classes, _: (F.cross_entropy(out, classes) - 0.1).abs() + 0.1,
    "cosine": lambda out, _, values: -F.cosine_similarity(out, values).mean(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_an_odd_loss_is_not_blamed(name: str) -> None:
    torch.manual_seed(0)
    weights = torch.randn(8, 4)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    sitter = hpo.Babysitter(model, optimizer)
    for _ in range(120):
        inputs = torch.randn(64, 8)
        values = inputs @ weights
        loss = LOSSES[name](model(inputs), values.argmax(1), values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    assert [each for each in sitter.findings if each.severity in ("warn", "fatal")] == []
