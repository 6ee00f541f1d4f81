"""What is seen in a loop's first steps, in trainings whose mistakes are known by construction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo import Babysitter
from hpo.checks.observations import Observations, StepAudit
from hpo.checks.rules.descent import descent
from hpo.checks.rules.loss_gradient import loss_gradient
from hpo.checks.rules.undone_update import undone_update
from hpo.checks.rules.used_gradient import used_gradient
from tests.helpers.observed import LIMITS

IMAGES, LABELS = torch.randn(200, 3, 4, 4), torch.arange(200) % 10
BATCH = 40
Loss = Callable[[Tensor, Tensor], Tensor]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 10))


def nothing(model: nn.Module) -> None:
    """Sound loops do nothing more."""


def watched(
    loss_function: Loss = F.cross_entropy,
    *,
    between: Callable[[nn.Module], None] = nothing,
    after: Callable[[nn.Module], None] = nothing,
    scale: float = 1.0,
    **options: Any,
) -> Observations:
    """Five epochs of five steps; ``between`` is done after backward, ``after`` after the step."""
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), **{"lr": 0.05, **options})
    with Babysitter(model, optimizer, classes=10, epochs=5, steps_per_epoch=5) as sitter:
        sitter.before(IMAGES, LABELS)
        for _ in range(5):
            for images, labels in zip(IMAGES.split(BATCH), LABELS.split(BATCH), strict=True):
                loss = loss_function(model(images), labels)
                optimizer.zero_grad()
                (loss * scale).backward()
                between(model)
                optimizer.step()
                after(model)
                sitter.step(loss, labels)
        sitter.state_dict()
    return sitter.seen


def test_audit_a_sound_loop_has_every_ratio_at_one() -> None:
    audits = watched().audits
    assert [audit.step for audit in audits] == [0, 1, 2]
    for audit in audits:
        assert (audit.examples, audit.idle, audit.lost) == (BATCH, 0, 0)
        ones = (audit.cosine, audit.scale, audit.gradient_cosine, audit.gradient_scale, audit.kept)
        assert (*ones, audit.descent) == pytest.approx((1.0,) * 6, abs=1e-4)
        assert audit.loss == pytest.approx(audit.cross_entropy, rel=1e-5)
        assert audit.lead == pytest.approx(0, abs=1e-5)


def first(seen: Observations) -> StepAudit:
    return seen.audits[0]


def test_audit_numbers_are_those_of_numpy() -> None:
    """Squared error, whose gradient by the outputs is 2 (z - y) / (B C), computed by hand."""
    torch.manual_seed(0)
    logits = network()(IMAGES[:BATCH]).detach().numpy().astype(np.float64)
    target = np.eye(10)[LABELS[:BATCH].numpy()]
    given = 2 * (logits - target) / logits.size
    given = given - given.mean(1, keepdims=True)
    likely = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    usual = (likely - target) / BATCH
    audit = first(watched(lambda outputs, labels: F.mse_loss(outputs, F.one_hot(labels, 10).float())))
    assert audit.loss == pytest.approx(np.square(logits - target).mean(), rel=1e-5)
    assert audit.cross_entropy == pytest.approx(-np.log(likely[target == 1]).mean(), rel=1e-5)
    assert audit.cosine == pytest.approx(
        (given * usual).sum() / np.sqrt((given**2).sum() * (usual**2).sum()), rel=1e-4
    )
    assert audit.scale == pytest.approx((given * usual).sum() / (usual**2).sum(), rel=1e-4)
    assert audit.cosine > 0.7


def easiest(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none").topk(BATCH // 8, largest=False).values.mean()


def hardest(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none").topk(BATCH // 8).values.mean()


@pytest.mark.parametrize(
    "loss",
    [
        lambda logits, labels: F.cross_entropy(logits, labels, label_smoothing=0.1),
        lambda logits, labels: F.nll_loss(logits.log_softmax(1), labels),
        lambda logits, labels: F.multi_margin_loss(logits, labels),
        lambda logits, labels: F.binary_cross_entropy_with_logits(logits, F.one_hot(labels, 10).float()),
        lambda logits, labels: F.cross_entropy(logits, labels, weight=torch.linspace(0.2, 2, 10)),
        lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum") / 1000,
        hardest,
    ],
    ids=["smoothed", "nll", "margin", "binary", "weighted", "sum", "hardest"],
)
def test_audit_losses_that_are_right_are_quiet(loss: Loss) -> None:
    seen = watched(loss)
    assert first(seen).cosine == first(seen).cosine
    assert loss_gradient(seen, LIMITS) == []


@pytest.mark.parametrize(
    ("loss", "words", "fix"),
    [
        (lambda logits, labels: -F.cross_entropy(logits, labels), "away from their labels", "fix_loss_sign"),
        (
            lambda logits, labels: logits.softmax(1).gather(1, labels[:, None]).mean(),
            "away from their labels",
            "fix_loss_sign",
        ),
        (easiest, "88% of each batch gets no gradient", "use_cross_entropy"),
        (
            lambda logits, labels: F.cross_entropy(logits, labels.roll(3)),
            "does not pull",
            "use_cross_entropy",
        ),
        (
            lambda logits, labels: F.cross_entropy(logits.mean(0, keepdim=True).expand_as(logits), labels),
            "does not pull",
            "use_cross_entropy",
        ),
    ],
    ids=["negative", "probability", "easiest", "neighbour", "mean"],
)
def test_audit_losses_that_reward_something_else_are_wrong(loss: Loss, words: str, fix: str) -> None:
    found = loss_gradient(watched(loss), LIMITS)
    assert [(each.severity, each.cause) for each in found] == [("warn", "wrong_loss")]
    assert words in found[0].message and found[0].remedy.change == {"code": fix}


def test_audit_descent_uphill_warns_unless_the_loss_is_maximized() -> None:
    uphill = watched(maximize=True)
    assert first(uphill).descent == pytest.approx(-1, abs=1e-4)
    assert [each.cause for each in descent(uphill, LIMITS)] == ["wrong_loss"]
    right = watched(lambda logits, labels: -F.cross_entropy(logits, labels), maximize=True)
    assert first(right).descent == pytest.approx(-1, abs=1e-4)
    assert descent(right, LIMITS) == loss_gradient(right, LIMITS) == []


def test_audit_decay_that_makes_the_steps_is_seen() -> None:
    assert descent(watched(weight_decay=5e-4), LIMITS) == []
    found = descent(watched(weight_decay=30.0, lr=1e-3), LIMITS)
    assert [(each.severity, each.cause) for each in found] == [("note", "over_regularized")]


def in_sixteen_bits(model: nn.Module) -> None:
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad = (parameter.grad * 1e-6).half().float() / 1e-6


def test_audit_entries_that_a_coarse_format_lost_are_counted() -> None:
    seen = watched(between=in_sixteen_bits)
    torch.manual_seed(0)
    model: Any = network()
    F.cross_entropy(model(IMAGES[:BATCH]), LABELS[:BATCH]).backward()
    before = np.concatenate([model[1].weight.grad.numpy().ravel(), model[3].weight.grad.numpy().ravel()])
    kept = (before * np.float32(1e-6)).astype(np.float16) != 0
    expected = (~kept & (before != 0)).sum() / (before != 0).sum()
    assert first(seen).lost == pytest.approx(expected, abs=0.01)
    assert expected > 0.5
    assert [(each.severity, each.cause) for each in used_gradient(seen, LIMITS)] == [
        ("warn", "vanishing_gradients")
    ]


def test_a_truncated_gradient_differs_from_a_rescaled_one() -> None:
    def shortened(model: nn.Module) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1e-5)

    found = used_gradient(watched(between=shortened), LIMITS)
    assert [(each.severity, each.cause) for each in found] == [("note", "schedule")]

    def unscaled(model: nn.Module) -> None:
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad.div_(2**16)

    scaled = watched(between=unscaled, scale=2.0**16)
    assert first(scaled).scale == pytest.approx(2**16, rel=1e-3)
    assert used_gradient(scaled, LIMITS) == []


def test_audit_another_gradient_than_that_of_backward_is_noted() -> None:
    def turned(model: nn.Module) -> None:
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad.neg_()

    seen = watched(between=turned)
    assert first(seen).gradient_cosine == pytest.approx(-1, abs=1e-4)
    assert [each.cause for each in used_gradient(seen, LIMITS)] == ["wrong_gradient"]


@torch.no_grad()
def rounded(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.copy_((parameter * 16).round() / 16)


def test_audit_updates_that_rounding_takes_back_are_not_updates() -> None:
    seen = watched(after=rounded, lr=1e-3)
    assert seen.audits[1].kept == pytest.approx(0, abs=0.05)
    found = undone_update(seen, LIMITS)
    assert [(each.severity, each.cause) for each in found] == [("warn", "no_update")]


@torch.no_grad()
def short(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.mul_(min(1.0, 0.01 / float(parameter.norm())))


def test_audit_a_limit_on_the_norm_takes_nothing_back() -> None:
    assert undone_update(watched(after=short), LIMITS) == []
    assert undone_update(watched(), LIMITS) == []


def test_audit_without_labels_only_the_loss_is_compared_with_nothing() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with Babysitter(model, optimizer, classes=10) as sitter:
        for _ in range(4):
            loss = F.cross_entropy(model(IMAGES), LABELS)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        sitter.state_dict()
    assert len(sitter.seen.audits) == 3
    assert all(math.isnan(audit.cosine) and audit.kept == pytest.approx(1) for audit in sitter.seen.audits)
    assert loss_gradient(sitter.seen, LIMITS) == []


def test_a_loop_that_hands_over_its_losses_in_bulk_is_audited_all_the_same() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with Babysitter(model, optimizer, classes=10) as sitter:
        losses = []
        for _ in range(5):
            loss = F.cross_entropy(model(IMAGES), LABELS)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        sitter.steps(torch.stack(losses))
        assert len(model._forward_hooks) == 2  # those of the feed meter and of the data monitor
    assert [(audit.step, audit.descent > 0) for audit in sitter.seen.audits] == [
        (0, True),
        (1, True),
        (2, True),
    ]
    assert all(math.isnan(audit.cosine) for audit in sitter.seen.audits)


def test_audit_steps_of_several_passes_are_audited_once_each() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with Babysitter(model, optimizer, classes=10) as sitter:
        for _ in range(4):
            optimizer.zero_grad()
            for images, labels in zip(IMAGES.split(100), LABELS.split(100), strict=True):
                loss = F.cross_entropy(model(images), labels) / 2
                loss.backward()
            optimizer.step()
            sitter.step(loss, labels)
        sitter.state_dict()
    assert [audit.step for audit in sitter.seen.audits] == [0, 1, 2]
    for audit in sitter.seen.audits:
        assert audit.gradient_cosine == pytest.approx(1, abs=1e-4)
        assert math.isnan(audit.cosine)  # the labels are those of another pass
