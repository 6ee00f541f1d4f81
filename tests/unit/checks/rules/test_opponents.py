"""Generators that help their discriminator, and the usual games."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hpo
from hpo.checks.rules.opponents import opponents
from tests.helpers.observed import LIMITS, one, seen

Loss = Callable[[Tensor], Tensor]


def _bce(target: float) -> Loss:
    return lambda answer: F.binary_cross_entropy_with_logits(answer, torch.full_like(answer, target))


def _squared(target: float) -> Loss:
    return lambda answer: (answer - target).square().mean()


def _towards(sign: int) -> Loss:
    return lambda answer: sign * answer.mean()


GAMES: dict[str, tuple[Loss, Loss, bool]] = {
    "usual": (_bce(0), _bce(1), False),
    "least squares": (_squared(0), _squared(1), False),
    "critic": (_towards(1), _towards(-1), False),
    "saturating": (_bce(0), lambda answer: -_bce(0)(answer), False),
    "hinge": (lambda answer: F.relu(1 + answer).mean(), _towards(-1), False),
    "target of the other": (_bce(0), _bce(0), True),
    "least squares of the other": (_squared(0), _squared(0), True),
    "critic with the other sign": (_towards(1), _towards(1), True),
}


@pytest.mark.parametrize("name", GAMES)
def test_a_generator_wants_what_its_discriminator_does_not(name: str) -> None:
    torch.manual_seed(0)
    of_discriminator, of_generator, is_blamed = GAMES[name]
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    discriminator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    both = [torch.optim.Adam(each.parameters(), lr=1e-3) for each in (generator, discriminator)]
    sitter = hpo.Babysitter(nn.ModuleList([generator, discriminator]), both)
    for _ in range(20):
        fake = generator(torch.randn(32, 4))
        loss = of_discriminator(discriminator(fake.detach())) - discriminator(torch.randn(32, 2)).mean()
        both[1].zero_grad()
        loss.backward()
        both[1].step()
        both[0].zero_grad()
        loss = of_generator(discriminator(fake))
        loss.backward()
        both[0].step()
        sitter.step(loss)
    sitter.after()
    found = [each for each in sitter.findings if each.check == "opponents"]
    assert bool(found) == is_blamed and sitter.seen.opponents


def test_opponents_one_network_has_none() -> None:
    assert opponents(seen(), LIMITS) == []
    assert opponents(seen(opponents=[0.1, 2.0, 2.0]), LIMITS) == []
    one(opponents(seen(opponents=[0.1, 0.2, 2.0]), LIMITS), "warn", "wrong_loss")
