"""A watched loop does bit for bit what it does unwatched, whatever goes in and comes out of its model."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpo import Babysitter
from tests.helpers import loops_by_data, loops_by_step  # noqa: F401 (they add their kinds)
from tests.helpers.loops import KINDS, Loop, train


class Nobody:
    """Takes all calls of a loop and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: None


def run(loop: Loop, checks: str | None) -> tuple[list[Any], list[Babysitter]]:
    """Return everything that a loop leaves behind, and its babysitters; without checks there are none."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    sitters: list[Babysitter] = []

    def watch(model: nn.Module, *given: Any, **named: Any) -> Any:
        if checks is None:
            return Nobody()
        sitters.append(Babysitter(model, *given, **named, checks=checks))  # type: ignore[arg-type]
        return sitters[-1]

    model, losses = loop(watch)
    modes = [module.training for module in model.modules()]
    generators = [torch.get_rng_state(), random.getstate(), np.random.get_state()]
    gradients = [each.grad for each in model.parameters()]
    return [losses, list(model.state_dict().values()), gradients, modes, generators], sitters


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        dense, others = (each.to_dense() if each.is_sparse else each for each in (one, other))
        return torch.equal(dense, others)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", KINDS)
def test_a_watched_loop_is_bit_for_bit_the_same(name: str) -> None:
    alone, _ = run(KINDS[name], None)
    for checks in ("off", "standard", "full"):
        watched, sitters = run(KINDS[name], checks)
        assert same(watched, alone), checks
        notes = [each.message for sitter in sitters for each in sitter.findings if each.check == "babysitter"]
        assert sitters and notes == []


@pytest.mark.slow  # importing the compiler alone takes seconds
@pytest.mark.parametrize("watched", ["compiled", "inside"])
def test_a_compiled_model_is_not_compiled_again(watched: str) -> None:
    """Whether the babysitter gets the compiled model or the one inside, nothing breaks its graph."""
    import torch._dynamo
    from torch._dynamo.utils import counters

    def loop(watch: Any) -> tuple[nn.Module, list[Tensor]]:
        torch._dynamo.reset()
        counters.clear()
        model = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3))
        compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
        step = torch.optim.SGD(model.parameters(), lr=0.05)
        return train(
            lambda net, *given, **named: watch(compiled if watched == "compiled" else net, *given, **named),
            model,
            call=lambda net, x: compiled(x),
            optimizer=step,
        )

    alone, _ = run(loop, None)
    graphs = dict(counters["stats"])
    again, (sitter,) = run(loop, "full")
    assert same(again, alone) and dict(counters["stats"]) == graphs and not counters["graph_break"]
    assert len(sitter.seen.snapshots) == 3
    assert len(sitter.seen.audits) == (3 if watched == "compiled" else 0)
