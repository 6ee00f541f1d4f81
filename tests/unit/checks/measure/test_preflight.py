"""Each fact of the untrained network, on a small network made to show it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.measure.example_facts import image_facts, label_facts
from hpo.checks.measure.examples import Examples, plain_forward
from hpo.checks.measure.preflight import _weight_scale, examine
from hpo.checks.preflight import Preflight
from hpo.models.convnet import convnet
from hpo.models.options import NetworkOptions
from tests.helpers.observed import LIMITS, LN10, NAN

CLASSES = 10


class Parts(nn.Module):
    """Convolution and classifier; what happens in between is the test's."""

    def __init__(self, between: Any = None, *, outputs: Any = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.classifier = nn.Linear(6, CLASSES)
        self.between = between or (lambda model, x: x)
        self.outputs = outputs or (lambda x: x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.between(self, F.relu(self.conv(x)))
        logits: Tensor = self.outputs(self.classifier(self.norm(x).mean((2, 3))))
        return logits


def examples(count: int = 40) -> Examples:
    return Examples(torch.randn(count, 3, 8, 8), torch.arange(count) % CLASSES)


def examined(model: nn.Module, train: Examples | None = None, **options: Any) -> Preflight:
    given: dict[str, Any] = {
        "classes": CLASSES,
        "forward": plain_forward,
        "loss_function": None,
        "penalty": None,
        "thorough": False,
        **options,
    }
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    val = given.pop("val", None)
    return examine(model, optimizer, train or examples(), val, **given)


def test_preflight_a_sound_network() -> None:
    train = examples()
    model = Parts()
    facts = examined(model, train, loss_function=F.cross_entropy, thorough=True, val=examples(20))
    logits = model.train()(train.images).detach().double().numpy()
    log_sum = np.log(np.exp(logits).sum(1))
    assert facts.loss == pytest.approx((log_sum - logits[range(40), train.labels]).mean(), rel=1e-5)
    assert facts.logits.low == pytest.approx(logits.min(), rel=1e-5)
    assert facts.logits.high == pytest.approx(logits.max(), rel=1e-5)
    assert facts.logits.between_images == pytest.approx(logits.std(0, ddof=1).mean(), rel=1e-4)
    assert facts.logits.between_classes == pytest.approx(logits.std(1, ddof=1).mean(), rel=1e-4)
    assert facts.without_gradient == facts.identical_units == ()
    assert facts.eval_noise == 0 and facts.eval_batch_effect < 1e-3
    assert facts.gradient_error is not None and facts.gradient_error < 0.01
    assert facts.memorization is not None and facts.memorization.examples == 20
    probe = facts.loss_probe
    assert probe is not None
    wrong = math.log(math.exp(20) + 9)
    assert (probe.even, probe.wrong) == pytest.approx((LN10, wrong), rel=1e-5)
    assert probe.right == pytest.approx(wrong - 20, abs=1e-6) and probe.even_twice == pytest.approx(LN10)


def test_preflight_nothing_is_disturbed() -> None:
    model: Any = nn.Sequential(nn.Dropout(0.5), Parts(), nn.RReLU()).train()
    model[1].norm.eval()
    state = {name: each.clone() for name, each in model.state_dict().items()}
    train, generator = examples(), torch.random.get_rng_state()
    modes = [each.training for each in model.modules()]
    examined(model, train, thorough=True)
    assert all(torch.equal(each, state[name]) for name, each in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert [each.training for each in model.modules()] == modes
    assert all(each.grad is None for each in model.parameters())


def test_preflight_image_facts_are_those_of_numpy() -> None:
    images = torch.randn(12, 3, 5, 5) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1) + 4
    facts, array = image_facts(images), images.double().numpy()
    assert facts.count == 12
    assert facts.channel_means == pytest.approx(array.mean((0, 2, 3)), rel=1e-5)
    assert facts.channel_stds == pytest.approx(array.std((0, 2, 3), ddof=1), rel=1e-5)
    expected = (array.mean(), array.std(ddof=1), array.min(), array.max())
    assert (facts.mean, facts.std, facts.low, facts.high) == pytest.approx(expected, rel=1e-5)


def test_preflight_label_facts_count_what_is_in_range() -> None:
    facts = label_facts(torch.tensor([0, 0, 2, 3, -1, 7]), 4)
    assert (facts.counts, facts.lowest, facts.highest, facts.total) == ((2, 0, 1, 1), -1, 7, 4)


@pytest.mark.parametrize("value", [0.0, 0.01])
def test_preflight_constant_weights_make_units_alike(value: float) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
    model.append(nn.Linear(8, CLASSES))
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    assert examined(model).identical_units == ("1", "3")


def test_preflight_a_residual_branch_may_start_at_zero() -> None:
    """As in Goyal et al. 2017 and Fixup (Zhang et al. 2019): its units get different gradients."""

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 6, 3, padding=1)
            self.last = nn.Conv2d(6, 6, 3, padding=1)
            self.classifier = nn.Linear(6, CLASSES)
            nn.init.zeros_(self.last.weight)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.first(x))
            logits: Tensor = self.classifier((x + self.last(x)).mean((2, 3)))
            return logits

    assert examined(Branch()).identical_units == ()


def test_preflight_a_detached_branch_gets_no_gradient() -> None:
    facts = examined(Parts(lambda model, x: x.detach()))
    assert facts.without_gradient == ("conv.weight", "conv.bias")


def test_preflight_a_network_whose_output_is_detached_gets_none_at_all() -> None:
    model = Parts(outputs=lambda x: x.detach())
    facts = examined(model, thorough=True)
    assert facts.without_gradient == tuple(name for name, _ in model.named_parameters())
    assert facts.memorization is not None and facts.memorization.steps == 0


def test_preflight_frozen_parameters_are_not_expected_to_get_any() -> None:
    model = Parts(lambda model, x: x.detach())
    model.conv.requires_grad_(False)
    assert examined(model).without_gradient == ()


def test_preflight_dropout_that_continues_in_evaluation_is_seen() -> None:
    facts = examined(Parts(lambda model, x: F.dropout(x, 0.5, training=True)))
    assert facts.eval_noise > LIMITS.eval_difference
    assert examined(Parts(lambda model, x: F.dropout(x, 0.5, model.training))).eval_noise == 0


def test_preflight_an_evaluation_that_depends_on_the_batch_is_seen() -> None:
    facts = examined(Parts(lambda model, x: (x - x.mean(0)) / (x.std(0) + 1e-3)))
    assert facts.eval_noise == 0 and facts.eval_batch_effect > LIMITS.eval_difference


class WrongSquare(torch.autograd.Function):
    """x squared, with the derivative of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class UndefinedBackward(torch.autograd.Function):
    """The identity, with a derivative that is NaN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * NAN


def test_preflight_a_derivative_that_is_nan_does_not_pass_for_a_right_one() -> None:
    error = examined(Parts(lambda model, x: UndefinedBackward.apply(x)), thorough=True).gradient_error
    assert error is not None and math.isnan(error)


def test_a_wrong_backward_is_found_and_functional_dropout_is_fine() -> None:
    wrong = examined(Parts(lambda model, x: WrongSquare.apply(x)), thorough=True).gradient_error
    assert wrong is not None and wrong > LIMITS.gradient_error
    right = examined(Parts(lambda model, x: x * x), thorough=True).gradient_error
    assert right is not None and right < LIMITS.gradient_error
    random = examined(Parts(lambda model, x: F.dropout(x, 0.5, model.training)), thorough=True).gradient_error
    assert random is not None and random < LIMITS.gradient_error


@pytest.mark.parametrize("activation", ["maxout", "prelu", "rrelu", "lecun_tanh"])
def test_preflight_the_backward_passes_of_our_own_activations_are_right(activation: str) -> None:
    model = convnet(NetworkOptions(width=2, activation=activation), classes=CLASSES)
    train = Examples(torch.randn(20, 3, 32, 32), torch.arange(20) % CLASSES)
    error = examined(model, train, thorough=True).gradient_error
    assert error is not None and error < LIMITS.gradient_error


def test_images_that_are_not_finite_leave_nothing_to_learn_by_heart() -> None:
    train = examples()
    train.inputs[0, 0, 0, 0] = math.nan
    facts = examined(Parts(), train)
    assert math.isnan(facts.loss) and facts.memorization is None


def test_preflight_labels_out_of_range_do_not_stop_the_measurement() -> None:
    train = examples()
    train.labels[0] = 10
    assert examined(Parts(), train).labels.highest == 10


def test_preflight_negatives_differ_from_images_of_the_same_kind() -> None:
    bright = torch.linspace(-1, 1, 8).view(1, 1, 1, 8)

    def pictures(count: int) -> Examples:
        return Examples(torch.randn(count, 3, 8, 8) + bright, torch.arange(count) % CLASSES)

    same = examined(Parts(), pictures(64), val=pictures(64)).split_t
    negatives = Examples(-pictures(64).inputs, torch.arange(64) % CLASSES)
    turned = examined(Parts(), pictures(64), val=negatives).split_t
    assert abs(same) < 5 < 20 < abs(turned)


@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_preflight_weight_scale_is_relative_to_he(scale: float) -> None:
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Flatten(), nn.Linear(64 * 36, 100), nn.Linear(100, 10))
    for module in model:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            with torch.no_grad():
                module.weight.mul_(scale)
    assert _weight_scale(model) == pytest.approx(scale, rel=0.05)
    assert math.isnan(_weight_scale(nn.BatchNorm1d(3)))
