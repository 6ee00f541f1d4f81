"""Gradients that are carried over, in loops whose parts are called and not the model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.babysitter import Babysitter

STEPS = 30


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def parts() -> nn.ModuleDict:
    body = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
    return nn.ModuleDict({"body": body, "head": nn.Linear(16, 3)})


def trained(model: nn.ModuleDict, *, clears: bool = True) -> Babysitter:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    sitter = Babysitter(model, optimizer, steps_per_epoch=STEPS)
    for _ in range(STEPS):
        inputs = torch.randn(16, 6)
        loss = F.mse_loss(model["head"](model["body"](inputs)), inputs[:, :3])
        if clears:
            optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    return sitter


def warned(sitter: Babysitter) -> set[str]:
    return {each.check for each in sitter.findings if each.severity in ("warn", "fatal")}


def test_gradients_that_are_never_cleared_are_found_in_parts_of_a_model() -> None:
    found = trained(parts(), clears=False).verdict()
    assert found.cause == "stale_gradients" and found.change == {"code": "call_zero_grad"}
    assert warned(trained(parts())) == set()


def test_gradients_that_another_network_leaves_behind_are_cleared_in_time() -> None:
    maker, judge = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizers = [torch.optim.Adam(each.parameters(), lr=1e-3) for each in (maker, judge)]
    sitter = Babysitter(nn.ModuleList([maker, judge]), optimizers, task="generative")

    def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(STEPS):
        made = maker(torch.randn(16, 4))
        step(
            optimizers[1],
            F.softplus(judge(made.detach())).mean() + F.softplus(-judge(torch.randn(16, 2))).mean(),
        )
        loss = F.softplus(-judge(made)).mean()
        step(optimizers[0], loss)
        sitter.step(loss)
    sitter.after()
    assert warned(sitter) == set()
    assert sitter.seen.carried and all(new > 0.9 or both < 0.99 for both, new in sitter.seen.carried)
