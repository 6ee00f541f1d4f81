"""What a loop feeds its network: stale gradients in every form of loop, modes, images."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.measure.inputs import ForwardMonitor
from hpo.checks.observations import ForwardRecord
from tests.helpers.observed import LIMITS

IMAGES, LABELS = torch.randn(32, 3, 4, 4) * 2 + 1, torch.arange(32) % 10


class Loop:
    """A network with its meter, attached as the babysitter does it."""

    def __init__(self) -> None:
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.BatchNorm1d(16), nn.Dropout(0.1))
        self.model.append(nn.Linear(16, 10))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.meter = ForwardMonitor(self.model, [self.optimizer])
        self.meter.attach()
        self.meter.expect()
        self.steps = 0

    def backward(self, images: Tensor = IMAGES) -> None:
        F.cross_entropy(self.model(images), LABELS[: len(images)]).backward()

    def step(self) -> None:
        self.meter.before_step()
        self.optimizer.step()
        self.meter.after_step(self.steps)
        self.steps += 1


def zero_first(loop: Loop) -> None:
    loop.optimizer.zero_grad()
    loop.backward()
    loop.step()


def zero_between(loop: Loop) -> None:
    loss = F.cross_entropy(loop.model(IMAGES), LABELS)
    loop.optimizer.zero_grad(set_to_none=False)
    loss.backward()
    loop.step()


def zero_last(loop: Loop) -> None:
    loop.backward()
    loop.step()
    loop.optimizer.zero_grad(set_to_none=True)


def zero_last_in_place(loop: Loop) -> None:
    loop.backward()
    loop.step()
    loop.optimizer.zero_grad(set_to_none=False)


def accumulate_two(loop: Loop) -> None:
    loop.backward()
    zero_last(loop)


def accumulate_three(loop: Loop) -> None:
    loop.backward()
    accumulate_two(loop)


def never(loop: Loop) -> None:
    loop.backward()
    loop.step()


def stale(passes: list[ForwardRecord]) -> list[float]:
    return [each.stale_gradient for each in passes if math.isfinite(each.stale_gradient)]


@pytest.mark.parametrize("step", [zero_first, zero_between, zero_last, zero_last_in_place])
def test_inputs_gradients_that_are_zeroed_are_not_stale(step: Callable[[Loop], None]) -> None:
    loop = Loop()
    for _ in range(2):
        for _ in range(4):
            step(loop)
        loop.meter.expect()
    step(loop)
    known = stale(loop.meter.read())
    assert known and set(known) == {0.0}


@pytest.mark.parametrize("step", [accumulate_two, accumulate_three])
def test_inputs_gradients_that_are_accumulated_are_not_stale(step: Callable[[Loop], None]) -> None:
    loop = Loop()
    for _ in range(3):
        for _ in range(4):
            step(loop)
        loop.meter.expect()
    known = stale(loop.meter.read())
    assert not known or min(known) <= LIMITS.stale_gradient


def test_inputs_gradients_that_are_never_zeroed_pile_up() -> None:
    loop = Loop()
    never(loop)
    never(loop)
    first, second = loop.meter.read()
    assert math.isnan(first.stale_gradient)
    assert second.stale_gradient == pytest.approx(1.0)  # exactly what the step before used is still there


def test_inputs_only_a_few_passes_are_read_and_paused_ones_are_not() -> None:
    loop = Loop()
    with loop.meter.paused():
        loop.model(IMAGES)
    for _ in range(5):
        zero_first(loop)
    with torch.no_grad():
        loop.model(IMAGES)
        loop.model(IMAGES)
    passes = loop.meter.read()
    assert [(each.step, each.learning) for each in passes] == [(0, True), (1, True), (5, False)]
    assert loop.meter.read() == []


def test_inputs_images_as_they_were_fed() -> None:
    loop = Loop()
    zero_first(loop)
    array = IMAGES.double().numpy()
    (each,) = loop.meter.read()
    assert (each.mean, each.std) == pytest.approx((array.mean(), array.std(ddof=1)), rel=1e-5)
    loop.backward(IMAGES[:4])
    (few,) = loop.meter.read()
    assert math.isnan(few.mean) and math.isnan(few.std)


def test_inputs_modes_are_those_of_the_loop() -> None:
    loop = Loop()
    zero_first(loop)
    loop.model.eval()
    zero_first(loop)
    first, second = loop.meter.read()
    assert (first.training_mode, first.eval_norms) == (True, ())
    assert (second.training_mode, second.eval_norms) == (False, ("2", "3"))


def test_inputs_an_evaluation_with_gradients_is_not_training() -> None:
    """Many loops forget no_grad when they evaluate, which costs memory and nothing else."""
    loop = Loop()
    loop.model.eval()
    loop.model(IMAGES)
    loop.model.train()
    zero_first(loop)
    assert [(each.learning, each.eval_norms) for each in loop.meter.read()] == [(True, ())]
