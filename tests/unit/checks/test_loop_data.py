"""Faults of the data in small loops of several kinds, next to the sound loop that each comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo import Babysitter


def _rings(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points (n, 3) near or far from 0, and labels (n,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=generator)
    points = F.normalize(torch.randn(count, 3, generator=generator))
    return points * (0.5 + labels[:, None] + 0.1 * torch.randn(count, 1, generator=generator)), labels


def _net(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 32), nn.ReLU(), *more, nn.Linear(32, 2))


def _batches(count: int, size: int = 32) -> Iterator[Tensor]:
    yield from torch.randperm(count)[: count // size * size].split(size)


def _train(
    sitter: Babysitter,
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    *,
    lr: float = 0.01,
    epochs: int = 5,
    rows: Callable[[int], Iterator[Tensor]] = _batches,
    validate: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> None:
    """Train as a tutorial does; the optimizer is the babysitter's."""
    optimizer = sitter._optimizers[0]
    for _ in range(epochs):
        model.train()
        for chosen in rows(len(data[0])):
            loss = F.cross_entropy(model(data[0][chosen]), data[1][chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, data[1][chosen])
        logits = (validate or _validated)(model, val[0])
        accuracy = (logits.argmax(1) == val[1]).float().mean().item()
        sitter.epoch(val_accuracy=accuracy, val_images=len(val[1]))
    sitter.after()


def _validated(model: nn.Module, inputs: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model(inputs)


def _sitter(model: nn.Module, lr: float = 0.01, steps: int = 18) -> Babysitter:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    return Babysitter(model, optimizer, classes=2, epochs=5, steps_per_epoch=steps)


def _warned(sitter: Babysitter) -> set[str]:
    assert not [each.message for each in sitter.findings if each.check == "babysitter"]
    return {each.check for each in sitter.findings if each.severity in ("warn", "fatal")}


def test_a_sound_loop_is_healthy_and_its_classes_are_named() -> None:
    model, data, val = _net(nn.Dropout(0.1)), _rings(600, 0), _rings(200, 1)
    sitter = _sitter(model)
    sitter.before(*data, *val)
    _train(sitter, model, data, val)
    assert _warned(sitter) == set()
    assert sitter.verdict().cause == "healthy"
    (recall,) = [each for each in sitter.findings if each.check == "class_recall"]
    assert recall.severity == "pass" and recall.value > 0.7


@pytest.mark.parametrize("with_examples", [True, False])
def test_shuffled_labels_are_named_by_any_evidence(with_examples: bool) -> None:
    model, (points, labels), val = _net(), _rings(600, 0), _rings(200, 1)
    data = points, labels[torch.randperm(600)]
    sitter = _sitter(model)
    if with_examples:
        sitter.before(*data, *val)
    _train(sitter, model, data, val)
    assert "unrelated_labels" in _warned(sitter)
    assert sitter.verdict().cause == "labels_do_not_match"


def test_memorized_labels_without_meaning_in_either_split_are_named() -> None:
    """Training accuracy far above validation accuracy looks like splits that differ."""
    model = nn.Sequential(nn.Linear(3, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))
    (points, labels), (val_points, val_labels) = _rings(400, 0), _rings(200, 1)
    labels, val_labels = labels[torch.randperm(400)], val_labels[torch.randperm(200)]
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    sitter = Babysitter(model, optimizer, classes=2)
    sitter.before(points, labels, val_points, val_labels)
    for _ in range(40):
        right = 0.0
        for rows in _batches(400):
            logits = model(points[rows])
            loss = F.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
            right += (logits.argmax(1) == labels[rows]).float().sum().item() / 384
        outputs = _validated(model, val_points)
        sitter.epoch(
            train_loss=loss.item(),
            train_accuracy=right,
            val_loss=F.cross_entropy(outputs, val_labels).item(),
            val_accuracy=(outputs.argmax(1) == val_labels).float().mean().item(),
            val_images=200,
        )
    sitter.after()
    assert "split_gap" in _warned(sitter)
    assert sitter.verdict().cause == "labels_do_not_match"


def test_a_rate_that_is_too_low_does_not_accuse_the_labels() -> None:
    model, data, val = _net(), _rings(600, 0), _rings(200, 1)
    sitter = _sitter(model, lr=1e-6)
    _train(sitter, model, data, val)
    assert "unrelated_labels" not in _warned(sitter)


def test_shuffled_targets_of_a_regression_are_named() -> None:
    x = torch.randn(400, 4)
    y = (x[:, :1] * x[:, 1:2]).relu() + x[:, 2:3]
    y = y[torch.randperm(400)]
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
    sitter = Babysitter(model, optimizer := torch.optim.Adam(model.parameters(), 0.003), task="regression")
    sitter.before(x, y)
    for rows in _batches(400, 16):
        for _ in range(2):
            loss = F.mse_loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
    sitter.after()
    assert sitter.verdict().cause == "labels_do_not_match"


def test_one_batch_again_and_again_is_named() -> None:
    model, data, val = _net(), _rings(600, 0), _rings(200, 1)
    sitter = _sitter(model)
    sitter.before(*data)
    _train(sitter, model, data, val, rows=lambda count: iter([torch.arange(32)] * 18))
    assert sitter.verdict().cause == "batch_composition"
    assert (
        "54 steps used the same batch" in sitter.verdict().text
        or "used the same batch" in sitter.verdict().text
    )


def test_one_batch_of_which_nothing_else_is_known_is_not_healthy() -> None:
    x = torch.randn(32, 3)
    y = x[:, :1] - x[:, 1:2]
    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    sitter = Babysitter(model, optimizer, epochs=4, steps_per_epoch=20)
    for _ in range(80):
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, y)
    sitter.after()
    assert loss.item() < 0.3 * float(y.var())
    noted = [each.severity for each in sitter.findings if each.check == "same_batch"]
    assert noted == ["note"] and sitter.verdict().cause == "nothing_wrong_seen"


def test_training_on_all_data_in_each_step_is_meant() -> None:
    model, data, val = _net(), _rings(300, 0), _rings(200, 1)
    sitter = _sitter(model, steps=1)
    sitter.before(*data, *val)
    _train(sitter, model, data, val, epochs=60, rows=lambda count: iter([torch.arange(300)]))
    assert "same_batch" not in _warned(sitter)
    assert "shared_examples" not in _warned(sitter)


def test_validation_examples_among_the_training_examples_are_found() -> None:
    model, data, val = _net(), _rings(600, 0), _rings(200, 1)
    mixed = torch.cat([data[0], val[0][:50]]), torch.cat([data[1], val[1][:50]])
    sitter = _sitter(model)
    sitter.before(*data, *val)
    _train(sitter, model, mixed, val)
    assert sitter.verdict().cause == "validation_leak"
    assert "50 of 200 validation examples" in sitter.verdict().text


def test_examples_that_repeat_anyway_may_be_in_both_splits() -> None:
    model, val = _net(), _rings(200, 1)
    few = torch.randint(0, 4, (600, 3)).float()
    labels = (few.sum(1) > 4).long()
    sitter = _sitter(model)
    sitter.before(few, labels, few[:100], labels[:100])
    _train(sitter, model, (few, labels), (few[:100], labels[:100]))
    assert "shared_examples" not in _warned(sitter)
    assert len(val[0]) == 200


def test_validation_in_training_mode_is_named() -> None:
    def validate(model: nn.Module, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return model(inputs)

    model, data, val = _net(nn.Dropout(0.3)), _rings(600, 0), _rings(200, 1)
    sitter = _sitter(model)
    _train(sitter, model, data, val, validate=validate)
    verdict = sitter.verdict()
    assert verdict.cause == "validation_mode" and verdict.change == {"code": "call_eval"}


@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.LayerNorm(32)])
def test_training_mode_that_changes_nothing_is_harmless(layer: nn.Module) -> None:
    def validate(model: nn.Module, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return model(inputs)

    model, data, val = _net(layer), _rings(600, 0), _rings(200, 1)
    sitter = _sitter(model)
    _train(sitter, model, data, val, validate=validate)
    assert "validation_mode" not in _warned(sitter)


def test_gradients_that_validation_records_for_nothing_are_named() -> None:
    def validate(model: nn.Module, inputs: Tensor) -> Tensor:
        model.eval()
        return model(inputs)

    model, data, val = _net(), _rings(600, 0), _rings(200, 1)
    sitter = _sitter(model)
    _train(sitter, model, data, val, validate=validate)
    verdict = sitter.verdict()
    assert verdict.cause == "validation_mode" and verdict.change == {"code": "no_grad"}


def test_gradients_that_validation_uses_are_meant() -> None:
    def validate(model: nn.Module, inputs: Tensor) -> Tensor:
        model.eval()
        logits = model(inputs)
        torch.autograd.grad(logits.sum(), list(model.parameters()))
        return logits.detach()

    model, data, val = _net(), _rings(600, 0), _rings(200, 1)
    sitter = _sitter(model)
    _train(sitter, model, data, val, validate=validate)
    assert "validation_mode" not in _warned(sitter)


@pytest.mark.parametrize("scale", [3e4, 1e-5])
def test_features_that_are_not_scaled_are_named(scale: float) -> None:
    model, data, val = _net(), _rings(600, 0), _rings(200, 1)
    data, val = (data[0] * scale, data[1]), (val[0] * scale, val[1])
    sitter = _sitter(model, lr=1e-4)
    _train(sitter, model, data, val)
    findings = [each for each in sitter.findings if each.check == "layer_input"]
    assert findings and findings[-1].cause == "input_scale"


def test_inputs_that_the_model_scales_are_not_blamed() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = _net()

        def forward(self, points: Tensor) -> Tensor:
            return self.net(points / 3e4)

    model, data, val = Scaled(), _rings(600, 0), _rings(200, 1)
    data, val = (data[0] * 3e4, data[1]), (val[0] * 3e4, val[1])
    sitter = _sitter(model)
    sitter.before(*data, *val)
    _train(sitter, model, data, val)
    assert _warned(sitter) == set()


def test_labels_that_change_between_epochs_are_named() -> None:
    model, (points, labels), val = _net(), _rings(600, 0), _rings(200, 1)
    sitter = _sitter(model)

    def rows(count: int) -> Iterator[Tensor]:
        for chosen in _batches(count):
            yield chosen
            labels[chosen] = 0  # overwritten in place

    _train(sitter, model, (points, labels), val, rows=rows)
    assert "changed_labels" in _warned(sitter)
    assert sitter.verdict().cause == "labels_do_not_match"


def test_two_classes_in_order_are_named() -> None:
    model, (points, labels), val = _net(), _rings(600, 0), _rings(200, 1)
    order = labels.argsort()
    sitter = _sitter(model, lr=0.003)
    _train(sitter, model, (points[order], labels[order]), val, rows=lambda n: iter(torch.arange(n).split(32)))
    assert sitter.verdict().cause == "batch_composition"


def test_a_few_examples_that_are_remembered_are_named() -> None:
    torch.manual_seed(1)
    x, val = torch.randn(40, 20), torch.randn(300, 20)
    answer = lambda rows: ((rows[:, :6] ** 2).sum(1) > 5.3).long()  # noqa: E731
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2))
    sitter = _sitter(model, steps=2)
    _train(sitter, model, (x, answer(x)), (val, answer(val)), epochs=40, rows=lambda n: _batches(n, 20))
    assert sitter.verdict().cause == "overfitting"
    assert "40 training examples came again and again" in sitter.verdict().text


def test_validation_labels_of_other_examples_are_named() -> None:
    model, data, (points, labels) = _net(), _rings(600, 0), _rings(200, 1)
    val = points, labels[torch.randperm(200)]
    sitter = _sitter(model)
    sitter.before(*data, *val)
    _train(sitter, model, data, val)
    assert sitter.verdict().cause == "train_val_mismatch"


def test_features_that_differ_in_validation_are_named() -> None:
    model, data, (points, labels) = _net(), _rings(600, 0), _rings(200, 1)
    val = points * 8 + 3, labels
    sitter = _sitter(model)
    sitter.before(*data, *val)
    _train(sitter, model, data, val)
    assert sitter.verdict().cause == "train_val_mismatch"


@pytest.mark.parametrize("with_examples", [True, False])
def test_a_label_among_the_features_is_named(with_examples: bool) -> None:
    (points, labels), (val_points, val_labels) = _rings(600, 0), _rings(200, 1)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    data = torch.cat([points, 3.0 - labels[:, None]], 1), labels
    val = torch.cat([val_points, 3.0 - val_labels[:, None]], 1), val_labels
    sitter = _sitter(model)
    if with_examples:
        sitter.before(*data, *val)
    _train(sitter, model, data, val)
    verdict = sitter.verdict()
    assert verdict.cause == "label_leak" and "input 3 of each example" in verdict.text


def test_a_loss_far_above_a_constant_answers_is_no_evidence() -> None:
    """Numbers of users and items as inputs: their values tell nothing, and the mean is not learned yet."""
    users, items = torch.randint(40, (1200,)), torch.randint(50, (1200,))
    ratings = 9 + (torch.randn(40, 3)[users] * torch.randn(50, 3)[items]).sum(1)
    model = nn.ModuleList([nn.Embedding(40, 4), nn.Embedding(50, 4)])
    model.forward = lambda one, other: (model[0](one) * model[1](other)).sum(1)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    sitter = Babysitter(model, optimizer)
    for _ in range(3):
        for rows in _batches(1200, 40):
            loss = F.mse_loss(model(users[rows], items[rows]), ratings[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, ratings[rows])
    sitter.after()
    assert "unrelated_labels" not in _warned(sitter)


def test_workers_that_augment_alike_are_named() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for is_alike in (False, True):
        sitter = Babysitter(model, optimizer, classes=2)
        for step in range(24):
            labels = torch.randint(2, (16,))
            seed = step // 2 if is_alike else step
            noise = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
            loss = F.cross_entropy(model(torch.randn(16, 1, 8, 8) + noise), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels)
        sitter.after()
        assert ("alike_augmentation" in _warned(sitter)) is is_alike


def test_a_model_that_names_the_common_class_only_is_told_so() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    sitter = Babysitter(model, optimizer, classes=2, task="classification", class_names=("stay", "leave"))
    for _ in range(120):
        x, labels = torch.randn(64, 2), (torch.rand(64) < 0.06).long()
        loss = F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels)
    sitter.after()
    (found,) = [each for each in sitter.findings if each.check == "class_recall"]
    assert found.severity == "warn" and found.cause == "class_imbalance"
    assert "class leave is never predicted right" in found.message and "0.500" in found.message


def test_random_generators_and_weights_are_as_without_a_babysitter() -> None:
    ends = []
    for is_watched in (False, True):
        torch.manual_seed(3)
        model, data = _net(nn.Dropout(0.2)), _rings(200, 0)
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        sitter = Babysitter(model, optimizer, classes=2, checks="standard" if is_watched else "off")
        sitter.before(*data)
        _train(sitter, model, data, data, epochs=2)
        ends.append((torch.cat([each.detach().flatten() for each in model.parameters()]), torch.rand(1)))
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))
