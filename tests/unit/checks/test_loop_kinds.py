"""A watched loop does bit for bit what it does unwatched, whatever goes in and comes out of its model."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpo import Babysitter
from tests.helpers.loops import KINDS, Loop


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", KINDS)
def test_a_watched_loop_is_bit_for_bit_the_same(name: str) -> None:
    alone, _ = run(KINDS[name], None)
    for checks in ("off", "standard", "full"):
        watched, sitters = run(KINDS[name], checks)
        assert same(watched, alone), checks
        notes = [each.message for sitter in sitters for each in sitter.findings if each.check == "babysitter"]
        assert sitters and [each for each in notes if " the check " not in each] == []
