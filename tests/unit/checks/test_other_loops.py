"""Sound loops other than plain classification from scratch: nothing intended is blamed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hpo
from hpo.checks.babysitter import Babysitter
from hpo.checks.facts import Fact, facts, task
from hpo.checks.observations import Task


def is_blamed(sitter: Babysitter) -> bool:
    return any(finding.severity in ("warn", "fatal") for finding in sitter.findings)


def classified(count: int, classes: int, shape: tuple[int, ...] = (1, 8, 8)) -> tuple[Tensor, Tensor]:
    """Images (count, *shape) around a mean for each class, and their labels (count,)."""
    labels = torch.randint(classes, (count,))
    return torch.randn(count, *shape) + torch.randn(classes, *shape)[labels], labels


def train_classes(model: nn.Module, sitter: Babysitter, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Train on 16 numbers whose first four name the class."""
    for _ in range(steps):
        inputs = torch.randn(32, 16)
        labels = inputs[:, :4].argmax(1)
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels)


@pytest.mark.parametrize("classes", [None, 1, 2, 10])
def test_regression_that_converges_is_not_stopped_or_blamed(classes: int | None) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sitter = hpo.Babysitter(model, optimizer, classes=classes, epochs=1, steps_per_epoch=120)
    for _ in range(120):
        inputs = torch.randn(32, 4)
        targets = 30 * inputs.sum(1, keepdim=True) + 4 * torch.randn(32, 1)
        loss = F.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert sitter.step(loss, targets) is None
    sitter.after()
    assert task(sitter.seen) == "regression"
    assert not is_blamed(sitter) and sitter.verdict().cause == "healthy"


def test_log_softmax_with_nll_loss_is_sound() -> None:
    torch.manual_seed(0)
    images, labels = classified(256, 10)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.LogSoftmax(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sitter = hpo.Babysitter(model, optimizer, classes=10, loss_function=F.nll_loss)
    sitter.before(images, labels)
    for _ in range(60):
        loss = F.nll_loss(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels)
    sitter.after()
    assert not is_blamed(sitter)
    assert Fact.CROSS_ENTROPY in facts(sitter.seen) and Fact.LOGITS not in facts(sitter.seen)


def test_lbfgs_with_a_closure_is_sound() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    inputs = torch.randn(64, 3)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.8)
    sitter = hpo.Babysitter(model, optimizer, classes=60, epochs=6, steps_per_epoch=1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
        loss.backward()
        return loss

    for _ in range(6):
        loss = optimizer.step(closure)
        sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    assert not is_blamed(sitter)


def test_batch_norm_kept_in_evaluation_is_a_question() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    sitter = hpo.Babysitter(model, optimizer, classes=4)
    model[1].eval()
    train_classes(model, sitter, optimizer, 200)
    sitter.after()
    (found,) = [each for each in sitter.findings if each.check == "training_mode"]
    assert found.severity == "note" and "is this meant" in found.message
    assert not is_blamed(sitter)


def test_a_network_trained_in_evaluation_mode_is_blamed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4)).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    sitter = hpo.Babysitter(model, optimizer, classes=4)
    train_classes(model, sitter, optimizer, 40)
    assert sitter.verdict().cause == "eval_mode"


def test_a_frozen_backbone_outside_of_the_optimizer_is_a_question() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.3)
    sitter = hpo.Babysitter(model, optimizer, classes=4)
    train_classes(model, sitter, optimizer, 60)
    sitter.after()
    (found,) = [each for each in sitter.findings if each.check == "untrained_parameters"]
    assert found.severity == "note" and "0.weight and 0.bias" in found.message
    assert not is_blamed(sitter)


def test_layers_that_no_optimizer_has_are_named() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.3)
    sitter = hpo.Babysitter(model, optimizer, classes=4)
    train_classes(model, sitter, optimizer, 60)
    sitter.after()
    assert sitter.verdict().cause == "frozen_parameters" and "0.weight" in sitter.verdict().text


def test_layers_that_other_code_updates_are_not_blamed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.3)
    other = torch.optim.SGD(model[0].parameters(), lr=0.3)
    sitter = hpo.Babysitter(model, optimizer, classes=4)
    for _ in range(3):
        train_classes(model, sitter, optimizer, 20)
        other.step()
        other.zero_grad()
    sitter.after()
    assert not is_blamed(sitter)


def test_nothing_seen_is_not_healthy() -> None:
    model = nn.Linear(4, 3)
    sitter = hpo.Babysitter(model, torch.optim.SGD(model.parameters(), lr=0.1), classes=3)
    sitter.after()
    verdict = sitter.verdict()
    assert (verdict.cause, verdict.confidence) == ("not_enough_seen", 0.0)


def test_a_verdict_names_checks_that_were_off_and_how_to_switch_them_on() -> None:
    torch.manual_seed(0)
    model = nn.Linear(16, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    sitter = hpo.Babysitter(model, optimizer)
    train_classes(model, sitter, optimizer, 60)
    sitter.after()
    verdict = sitter.verdict()
    assert verdict.cause == "nothing_wrong_seen" and "checks were off" in verdict.text
    assert "call before()" in verdict.remedy and "val_accuracy" in verdict.remedy


def test_a_training_that_ended_at_chance_is_not_healthy() -> None:
    """Neither validation images nor accuracies are known."""
    torch.manual_seed(0)
    model = nn.Linear(16, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    sitter = hpo.Babysitter(model, optimizer)
    for _ in range(80):
        labels = torch.randint(4, (64,))
        loss = F.cross_entropy(model(0.1 * torch.randn(64, 16)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels)
    sitter.after()
    assert sitter.verdict().cause == "not_learning"


_MODELS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "rows": (nn.Linear(16, 5), (32, 16)),
    "tokens": (nn.Linear(16, 5), (8, 6, 16)),
    "pixels": (nn.Conv2d(3, 5, 1), (4, 3, 6, 6)),
    "one": (nn.Linear(16, 1), (32, 16)),
}


@pytest.mark.parametrize(
    ("shape", "loss", "expected"),
    [
        ("rows", "cross_entropy", "classification"),
        ("rows", "sum", "classification"),
        ("rows", "weighted", "classification"),
        ("rows", "nll", "classification"),
        ("rows", "bce", "multilabel"),
        ("rows", "mse", "regression"),
        ("one", "bce", "multilabel"),
        ("one", "mse", "regression"),
        ("tokens", "cross_entropy", "language_model"),
        ("pixels", "cross_entropy", "segmentation"),
        ("rows", "policy", None),
        ("rows", "norm", None),
    ],
)
def test_task_is_told_from_the_gradient_of_the_loss(shape: str, loss: str, expected: Task | None) -> None:
    torch.manual_seed(0)
    model, size = _MODELS[shape]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with hpo.Babysitter(model, optimizer) as sitter:
        for _ in range(20):
            outputs = model(torch.randn(size))
            value, labels = _loss(loss, outputs)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            sitter.step(value, labels)
    assert task(sitter.seen) == expected


def _loss(name: str, outputs: Tensor) -> tuple[Tensor, Tensor | None]:
    """A loss of random labels; these too where a loop needs to pass them."""
    if name in ("bce", "mse"):
        labels = torch.randint(2, outputs.shape).float()
        return (F.binary_cross_entropy_with_logits if name == "bce" else F.mse_loss)(outputs, labels), labels
    if name == "norm":
        return outputs.square().sum(1).sqrt().mean(), None
    rows = outputs.movedim(1, -1).flatten(0, -2) if outputs.ndim == 4 else outputs.flatten(0, -2)
    classes = torch.randint(rows.shape[1], (len(rows),))
    if name == "policy":
        return 10 * (F.cross_entropy(rows, classes, reduction="none") * torch.rand(len(rows))).mean(), None
    if name == "nll":
        return F.nll_loss(rows.log_softmax(1), classes), None
    weight = torch.linspace(0.5, 2, rows.shape[1]) if name == "weighted" else None
    reduction = "sum" if name == "sum" else "mean"
    return F.cross_entropy(rows, classes, weight=weight, reduction=reduction), None


def _watched(model: nn.Module, loss: str, *, update: bool = True) -> Babysitter:
    """Train on random targets by a loss with this mistake."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    sitter = hpo.Babysitter(model, optimizer)
    for _ in range(25):
        outputs = model(torch.randn(32, 16))
        value, labels = _mistaken(loss, outputs)
        optimizer.zero_grad()
        if update:
            value.backward()
        optimizer.step()
        sitter.step(value, labels)
    sitter.after()
    return sitter


def _mistaken(name: str, outputs: Tensor) -> tuple[Tensor, Tensor]:
    if name == "broadcast":
        numbers = torch.randn(32)
        return (outputs - numbers).square().mean(), numbers  # (32, 1) against (32,)
    classes = torch.randint(outputs.shape[1], (32,))
    return F.cross_entropy(outputs, classes), classes


@pytest.mark.parametrize(
    ("model", "loss", "cause"),
    [
        (nn.Linear(16, 1), "broadcast", "wrong_loss"),
        (nn.Sequential(nn.Linear(16, 4), nn.Softmax(1)), "softmax twice", "softmax_twice"),
    ],
)
def test_a_loss_that_gets_something_else_is_named(model: nn.Module, loss: str, cause: str) -> None:
    torch.manual_seed(0)
    assert _watched(model, loss).verdict().cause == cause


def test_a_sigmoid_in_the_model_and_in_the_loss_is_named() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    sitter = hpo.Babysitter(model, optimizer)
    for _ in range(25):
        flags = torch.randint(2, (32, 1)).float()
        value = F.binary_cross_entropy_with_logits(model(torch.randn(32, 16)), flags)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        sitter.step(value, flags)
    assert sitter.verdict().cause == "softmax_twice"


def test_backward_that_is_never_called_is_named() -> None:
    torch.manual_seed(0)
    assert _watched(nn.Linear(16, 4), "none", update=False).verdict().cause == "no_update"


class Heads(nn.Module):
    """Two heads on one body, of which the second may be detached from it."""

    def __init__(self, *, detach: bool = False) -> None:
        super().__init__()
        self.body, self.first, self.second = nn.Linear(16, 8), nn.Linear(16, 4), nn.Linear(8, 4)
        self.detach = detach

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 16) to two times (n, 4)."""
        hidden = self.body(x).relu()
        return self.first(x), self.second(hidden.detach() if self.detach else hidden)


@pytest.mark.parametrize("detach", [False, True])
def test_an_auxiliary_head_is_sound_and_a_detached_body_is_not(detach: bool) -> None:
    torch.manual_seed(0)
    model = Heads(detach=detach)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    sitter = hpo.Babysitter(model, optimizer, classes=4)
    inputs = torch.randn(64, 16)
    sitter.before(inputs, inputs[:, :4].argmax(1))
    for _ in range(80):
        inputs = torch.randn(32, 16)
        labels = inputs[:, :4].argmax(1)
        loss = sum((F.cross_entropy(each, labels) for each in model(inputs)), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels)
    sitter.after()
    assert is_blamed(sitter) == detach
    if detach:
        assert sitter.verdict().cause == "detached" and "body.weight" in sitter.verdict().text
