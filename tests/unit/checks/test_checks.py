import math

import numpy as np
import pytest
import torch
from torch import nn

from hpo.checks.base import Finding
from hpo.checks.exploding_loss import ExplodingLoss
from hpo.checks.initial_loss import initial_loss, regularized_loss
from hpo.checks.learned import chance_limit, learned
from hpo.checks.overfit_small import balanced_examples, overfit_small
from hpo.checks.verdict import verdict


@pytest.mark.parametrize(
    ("loss", "severity"),
    [(2.302, "pass"), (3.2, "pass"), (5.0, "warn"), (math.nan, "fatal"), (math.inf, "fatal")],
)
def test_initial_loss_of_ten_classes(loss: float, severity: str) -> None:
    finding = initial_loss(loss, 10)
    assert finding.severity == severity
    assert finding.remedy or severity == "pass"


def test_initial_loss_names_ln_10_as_the_slide_does() -> None:
    assert "2.303" in initial_loss(2.3, 10).message


def test_regularization_must_raise_the_loss() -> None:
    assert regularized_loss(2.3, 0.8).severity == "pass"
    assert regularized_loss(2.3, 0.0).severity == "warn"


def test_nan_is_fatal_and_named_with_its_step() -> None:
    finding = ExplodingLoss(10, lr=0.3).read(9, np.array([2.3, 2.2, math.nan, 9.0]))
    assert finding is not None and finding.severity == "fatal"
    assert finding.step == 8
    assert "0.1" in finding.remedy


def test_three_times_the_first_loss_is_fatal() -> None:
    check = ExplodingLoss(10, lr=0.1)
    assert check.read(0, np.array([2.5])) is None
    assert check.read(5, np.full(5, 7.4)) is None
    finding = check.read(10, np.full(5, 7.6))
    assert finding is not None and finding.threshold == pytest.approx(7.5)


def test_a_low_first_loss_does_not_make_the_check_strict() -> None:
    check = ExplodingLoss(10, lr=0.1)
    check.read(0, np.array([0.5]))
    assert check.threshold == pytest.approx(3 * math.log(10))


def test_one_wild_batch_is_not_an_explosion() -> None:
    check = ExplodingLoss(10, lr=0.1)
    check.read(0, np.array([2.3]))
    assert check.read(10, np.array([2.0] * 9 + [20.0])) is None


def test_chance_limit_is_a_binomial_bound() -> None:
    assert chance_limit(10, 5000) == pytest.approx(0.1 + 4 * math.sqrt(0.09 / 5000))
    assert learned(0.105, 10, 5000, 0.1).severity == "warn"
    assert learned(0.30, 10, 5000, 0.1).severity == "pass"


def test_guessing_networks_do_not_pass_as_learners() -> None:
    draws = np.random.default_rng(0).binomial(1000, 0.1, size=2000) / 1000
    passed = sum(learned(float(accuracy), 10, 1000, 0.1).severity == "pass" for accuracy in draws)
    assert passed <= 2


def test_balanced_examples_take_each_class_in_turn() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 1, 2, 1, 0])
    chosen = balanced_examples(labels, 6)
    assert sorted(labels[chosen].tolist()) == [0, 0, 1, 1, 2, 2]
    assert len(set(chosen.tolist())) == 6


def _twenty() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 3, 8, 8, generator=generator), torch.arange(20) % 10


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Dropout(0.9), nn.Linear(64, 10))


def test_a_sound_network_learns_twenty_examples() -> None:
    net = _net()
    finding = overfit_small(net, torch.optim.SGD(net.parameters(), lr=0.1), *_twenty())
    assert finding.severity == "pass" and finding.value == 1.0


def test_a_frozen_network_does_not() -> None:
    net = _net()
    finding = overfit_small(net, torch.optim.SGD(net.parameters(), lr=1e-9), *_twenty())
    assert finding.severity == "note" and finding.value < 1.0 and finding.remedy


def test_an_exploding_network_is_said_to_explode() -> None:
    net = _net()
    finding = overfit_small(net, torch.optim.SGD(net.parameters(), lr=1e8), *_twenty())
    assert finding.severity == "note" and "lower lr" in finding.remedy


def _finding(check: str, severity: str) -> Finding:
    return Finding(check, severity, 0.0, 0.0, f"{check} said so", f"fix {check}")  # type: ignore[arg-type]


def test_the_worst_finding_is_the_verdict() -> None:
    found = [
        _finding("initial_loss", "warn"),
        _finding("exploding_loss", "fatal"),
        _finding("learned", "warn"),
    ]
    assert verdict(found).label == "exploded"
    assert verdict(found).remedy == "fix exploding_loss"


def test_a_trial_without_warnings_is_healthy() -> None:
    assert verdict([_finding("initial_loss", "pass"), _finding("overfit_small", "note")]).label == "healthy"


def test_not_learning_twenty_examples_is_evidence_for_not_learning() -> None:
    found = [_finding("overfit_small", "note"), _finding("learned", "warn")]
    assert verdict(found).text == "did not learn: learned said so; overfit_small said so"
