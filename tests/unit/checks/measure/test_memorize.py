"""Learning twenty examples by heart, on a copy."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hpo.checks.measure.examples import plain_forward
from hpo.checks.measure.memorize import STEPS, balanced_examples, memorize, peak_lr
from hpo.checks.preflight import Memorization

IMAGES = torch.randn(20, 3, 4, 4, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(20) % 10


def found_by(
    model: nn.Module, optimizer: torch.optim.Optimizer, forward: Any = plain_forward
) -> Memorization:
    found = memorize(model, optimizer, forward, IMAGES, LABELS)
    assert found is not None
    return found


def network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.Dropout(0.9), nn.ReLU(), nn.Linear(32, 10))


def test_memorize_a_sound_network_learns_them_and_stays_as_it_is() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    found = found_by(model, optimizer)
    assert (found.examples, found.accuracy, found.unchanged) == (20, 1.0, ())
    assert 0 < found.steps < STEPS and found.last_loss < found.first_loss
    assert found.blank_loss > found.last_loss
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert not optimizer.state and model.training
    assert all(each.grad is None for each in model.parameters())


def test_memorize_the_first_loss_and_step_are_those_of_a_plain_loop() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    found = found_by(model, optimizer)
    expected = float(F.cross_entropy(model.eval()(IMAGES), LABELS).detach())
    assert found.first_loss == pytest.approx(expected, rel=1e-5)
    assert found.steps == STEPS and found.last_loss == pytest.approx(expected, rel=1e-4)


def test_memorize_weight_decay_is_off_and_the_peak_rate_is_taken() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, weight_decay=1e3)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    assert optimizer.param_groups[0]["lr"] == 0
    assert found_by(model, optimizer).accuracy == 1.0
    assert optimizer.param_groups[0]["weight_decay"] == 1e3


def test_memorize_a_blind_network_pays_nothing_for_blank_images() -> None:
    model = network()

    def blind(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
        return plain_forward(net, images * 0)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = found_by(model, optimizer, blind)
    assert found.accuracy < 1 and found.blank_loss == pytest.approx(found.last_loss)


def test_memorize_what_the_optimizer_lacks_is_unchanged() -> None:
    model = network()
    optimizer = torch.optim.Adam(model[4].parameters(), lr=0.01)
    found = found_by(model, optimizer)
    assert found.unchanged == ("1.weight", "1.bias")


def test_memorize_a_loss_that_is_not_finite_ends_it() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    found = found_by(model, optimizer)
    assert found.steps < STEPS and not math.isfinite(found.last_loss)


def test_memorize_under_lbfgs_there_is_no_plain_step_to_try() -> None:
    model = network()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1)
    assert memorize(model, optimizer, plain_forward, IMAGES, LABELS) is None
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


class Derived(nn.Module):
    """Holds a weight that autograd has made of another, which torch does not copy."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.randn(10, 48))
        self.weight = self.base * 0.1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.linear(images.flatten(1), self.weight)


class Counted(torch.optim.SGD):
    """Has an attribute of its own, which torch does not copy, and maybe another optimizer inside."""

    def __init__(self, parameters: Any, lr: float, inner: bool = False) -> None:
        given = list(parameters)
        super().__init__(given, lr=lr)
        self.steps = 0
        self.inner = Counted(given, lr) if inner else None

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        return self.inner.step() if self.inner is not None else super().step(closure)


@pytest.mark.parametrize("inner", [False, True])
def test_memorize_keeps_what_an_optimizer_class_added(inner: bool) -> None:
    model = network()
    optimizer = Counted(model.parameters(), 0.5, inner)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    assert found_by(model, optimizer).unchanged == ()
    assert optimizer.steps == 0 and (optimizer.inner is None or optimizer.inner.steps == 0)
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_memorize_with_an_optimizer_that_needs_a_closure_is_not_tried() -> None:
    class WithClosure(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(lambda: closure())

    model = network()
    optimizer = WithClosure(model.parameters(), lr=0.1)
    assert memorize(model, optimizer, plain_forward, IMAGES, LABELS) is None


def test_memorize_with_an_optimizer_that_holds_a_function_is_not_tried() -> None:
    model = network()
    optimizer = Counted(model.parameters(), 0.1)
    optimizer.measure = lambda: model(IMAGES)  # type: ignore[attr-defined]
    assert memorize(model, optimizer, plain_forward, IMAGES, LABELS) is None


def test_memorize_weights_that_torch_does_not_copy_are_not_tried() -> None:
    model: Any = nn.Sequential(Derived())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert memorize(model, optimizer, plain_forward, IMAGES, LABELS) is None
    del model[0].weight
    model[0].weight = model[0].base.detach() * 0.1
    assert memorize(model, optimizer, plain_forward, IMAGES, LABELS) is not None


def test_memorize_examples_are_taken_of_each_class_in_turn() -> None:
    labels = torch.tensor([2, 2, 2, 2, 0, 0, 1])
    taken = balanced_examples(labels, 5)
    assert labels[taken].tolist() == [0, 1, 2, 0, 2]
    assert taken.tolist() == [4, 6, 0, 5, 1]
    assert len(balanced_examples(torch.zeros(3, dtype=torch.int64))) == 3


def test_memorize_peak_lr_of_torchs_schedulers() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.7, total_steps=10)
    assert peak_lr(optimizer.param_groups[0]) == 0.7
    assert peak_lr({"lr": 0.3}) == 0.3


def test_memorize_leaves_out_a_network_that_cannot_be_copied() -> None:
    model = network()
    model.lock = threading.Lock()  # type: ignore[assignment]
    assert memorize(model, torch.optim.SGD(model.parameters()), plain_forward, IMAGES, LABELS) is None
