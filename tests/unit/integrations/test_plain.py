from __future__ import annotations

import copy
from collections.abc import Iterable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import hpo
from hpo.checks.babysitter import Babysitter
from hpo.errors import UserError
from hpo.integrations import plain
from hpo.records import Finding
from tests.unit.integrations.conftest import Loader

Loaders = tuple[Loader, Loader]


def _train(network: nn.Module, loaders: Loaders, *, epochs: int = 2, zeroes: bool = True) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    for _ in range(epochs):
        network.train()
        for images, labels in hpo.watch(loaders[0], network, optimizer, epochs=epochs):
            loss = hpo.loss(F.cross_entropy(network(images), labels))
            if zeroes:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            for images, labels in hpo.watch(loaders[1]):
                hpo.loss(F.cross_entropy(network(images), labels))


def _babysitter() -> Babysitter:
    assert plain._current is not None
    return plain._current.babysitter


def test_watch_sound_loop_is_healthy(network: nn.Sequential, loaders: Loaders) -> None:
    _train(network, loaders)
    seen = _babysitter().seen
    assert hpo.verdict().cause == "healthy"
    assert [(each.epoch, each.step) for each in seen.curve] == [(1, 30), (2, 60)]
    images, labels = loaders[1].dataset[:]
    right = (network(images).argmax(1) == labels).float().mean().item()
    assert seen.curve[-1].val_accuracy == pytest.approx(right)
    assert sum(seen.curve[-1].val_predicted_counts) == seen.val_images == 96
    assert seen.curve[-1].train_loss == pytest.approx(seen.losses[30:].mean())
    with torch.no_grad():
        assert seen.curve[-1].val_loss == pytest.approx(F.cross_entropy(network(images), labels).item())


def test_watch_missing_zero_grad_is_named(
    network: nn.Sequential, loaders: Loaders, caplog: pytest.LogCaptureFixture
) -> None:
    _train(network, loaders, zeroes=False)
    assert hpo.verdict().cause == "stale_gradients"
    assert "hpo: warn at step 1: gradients of the step before are still in those" in caplog.text
    assert caplog.text.count("gradients of the step before") == 1


def test_watch_accumulated_batches_are_healthy(network: nn.Sequential, loaders: Loaders) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(3):
        for number, (images, labels) in enumerate(hpo.watch(loaders[0], network, optimizer)):
            (hpo.loss(F.cross_entropy(network(images), labels)) / 3).backward()
            if number % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
    assert [each.check for each in _babysitter().findings if each.severity == "warn"] == []


def test_watch_training_is_bitwise_the_same(network: nn.Sequential, loaders: Loaders) -> None:
    twin = copy.deepcopy(network)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.02, momentum=0.9)
    torch.manual_seed(3)
    for images, labels in loaders[0]:
        optimizer.zero_grad()
        F.cross_entropy(twin(images), labels).backward()
        optimizer.step()
    torch.manual_seed(3)
    _train(network, loaders, epochs=1)
    hpo.verdict()
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def test_watch_with_stop_ends_a_hopeless_training(network: nn.Sequential, loaders: Loaders) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    steps = 0
    for images, _ in hpo.watch(loaders[0], network, optimizer, stop=True):
        hpo.loss(network(images).sum() * float("nan")).backward()
        optimizer.step()
        steps += 1
    assert steps == 20
    assert hpo.verdict().cause != "healthy"


def test_watch_left_early_reports_the_last_batch(network: nn.Sequential, loaders: Loaders) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    watched = hpo.watch(loaders[0], network, optimizer)
    for number, (images, labels) in enumerate(watched):
        loss = watched.loss(F.cross_entropy(network(images), labels))
        loss.backward()
        optimizer.step()
        if number == 2:
            break
    watched.verdict()
    assert watched.babysitter.seen.steps == 3


def test_watch_is_the_loader_in_all_else(network: nn.Sequential, loaders: Loaders) -> None:
    watched = hpo.watch(loaders[0], network, torch.optim.SGD(network.parameters(), lr=0.02))
    assert (len(watched), watched.batch_size) == (30, 16)
    assert watched.dataset is loaders[0].dataset
    with pytest.raises(TypeError):
        len(hpo.watch((batch for batch in loaders[0]), network))


@pytest.mark.parametrize("part", ["before", "step", "epoch", "after"])
def test_watch_own_error_never_reaches_the_loop(
    network: nn.Sequential, loaders: Loaders, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fail(*_: object, **__: object) -> Finding:
        raise ZeroDivisionError("of the babysitter")

    monkeypatch.setattr(Babysitter, part, fail)
    _train(network, loaders, epochs=1)
    babysitter = _babysitter()
    hpo.verdict()
    notes = [each.message for each in babysitter.findings if each.check == "babysitter"]
    assert len(notes) == 1
    assert "ZeroDivisionError: of the babysitter" in notes[0]


def test_loss_without_watch_is_an_error(loaders: Loaders) -> None:
    for call in (lambda: hpo.loss(1.0), hpo.verdict, lambda: hpo.watch(loaders[1])):
        with pytest.raises(UserError, match="no training is watched yet"):
            call()


def test_watch_impossible_argument_is_an_error(network: nn.Sequential, loaders: Loaders) -> None:
    for nothing in (None, 3):
        with pytest.raises(UserError, match=f"loader: {type(nothing).__name__} cannot be iterated over"):
            hpo.watch(nothing, network)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="classes: 0 is not a whole number"):
        hpo.watch(loaders[0], network, torch.optim.SGD(network.parameters(), lr=1), classes=0)


def test_verdict_that_nobody_asked_for_is_written(
    network: nn.Sequential, loaders: Loaders, capsys: pytest.CaptureFixture[str]
) -> None:
    _train(network, loaders)
    plain._tell_unasked()
    plain._tell_unasked()
    assert capsys.readouterr().err.count("hpo: healthy") == 1


def test_watch_several_inputs_and_dict_batches(loaders: Loaders) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(216, 4)

        def forward(self, one: torch.Tensor, *, other: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.linear(torch.cat([one.flatten(1), other.flatten(1)], 1))}

    network = Pair()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    batches = [{"images": images, "labels": labels} for images, labels in loaders[0]]
    for _ in range(2):
        for batch in hpo.watch(batches, network, optimizer):
            logits = network(batch["images"], other=batch["images"])["logits"]
            loss = hpo.loss(F.cross_entropy(logits, batch["labels"]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert hpo.verdict().cause == "nothing_wrong_seen"  # there is no validation
    assert _babysitter().seen.preflight is not None
    assert _babysitter().seen.curve[-1].train_accuracy > 0.8


def test_watch_optimizer_of_another_model_is_named(network: nn.Sequential, loaders: Loaders) -> None:
    optimizer = torch.optim.SGD(copy.deepcopy(network).parameters(), lr=0.02)
    for images, labels in hpo.watch(loaders[0], network, optimizer):
        hpo.loss(F.cross_entropy(network(images), labels)).backward()
        optimizer.step()
        network.zero_grad()
    assert hpo.verdict().cause == "frozen_parameters"


class _Outer(torch.optim.Optimizer):
    """Steps by an optimizer inside of it, as sharpness-aware ones do."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})
        self.inner = torch.optim.SGD(self.param_groups, lr=lr)

    def second_step(self) -> None:
        self.inner.step()
        self.zero_grad()


def test_watch_an_optimizer_inside_another_updates(network: nn.Sequential, loaders: Loaders) -> None:
    optimizer = _Outer(network.parameters(), 0.02)
    for _ in range(2):
        for images, labels in hpo.watch(loaders[0], network, optimizer, epochs=2):
            hpo.loss(F.cross_entropy(network(images), labels)).backward()
            optimizer.second_step()
    assert hpo.verdict().cause == "nothing_wrong_seen"


def test_watch_epochs_that_grow_are_counted(network: nn.Sequential, loaders: Loaders) -> None:
    """A curriculum of 2, 10, 18 and 26 steps: more than the 8 that the first epoch promises."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    batches = list(loaders[0])
    expected = []
    for epoch in range(4):
        for images, labels in hpo.watch(batches[: 2 + 8 * epoch], network, optimizer, epochs=4):
            optimizer.zero_grad()
            hpo.loss(F.cross_entropy(network(images), labels)).backward()
            optimizer.step()
        expected.append(_babysitter().seen.setup.total_steps)
    assert expected == [8, 32, 48, 56]
    assert "batch_size" not in {each.cause for each in _babysitter().findings}
    assert hpo.verdict().cause == "nothing_wrong_seen"


class _Texts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(40, 8), nn.Linear(8, 4)

    def forward(self, text: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.bag(text, starts))
        return logits


def test_watch_labels_may_come_first(loaders: Loaders) -> None:
    """As in torchtext's tutorial: the offsets, which come last, are numbers (B,) as labels are."""
    labels = torch.randint(4, (480,))
    words = 10 * labels[:, None] + torch.randint(10, (480, 5))
    rows = zip(labels.split(16), words.split(16), strict=True)
    batches = [(label, text.flatten(), torch.arange(0, 80, 5)) for label, text in rows]
    network = _Texts()
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(4):
        for label, text, starts in hpo.watch(batches[:24], network, optimizer):
            optimizer.zero_grad()
            hpo.loss(F.cross_entropy(network(text, starts), label)).backward()
            optimizer.step()
        with torch.no_grad():
            for label, text, starts in hpo.watch(batches[24:]):
                hpo.loss(F.cross_entropy(network(text, starts), label))
    right = sum(
        (network(text, starts).argmax(1) == label).sum().item() for label, text, starts in batches[24:]
    )
    assert hpo.verdict().cause == "healthy"
    assert _babysitter().seen.curve[-1].val_accuracy == pytest.approx(right / 96)


@pytest.mark.parametrize("clears", [True, False])
def test_watch_gradients_cleared_after_a_penalty_are_fresh(loaders: Loaders, clears: bool) -> None:
    """A critic of a game: the other network's step leaves gradients, and the penalty is computed first."""
    critic, maker = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)), nn.Linear(3, 3)
    optimizers = [torch.optim.Adam(each.parameters(), 1e-3) for each in (critic, maker)]
    for number, (images, _) in enumerate(hpo.watch(loaders[0], critic, optimizers)):
        real = images.mean((2, 3)).requires_grad_()
        (slope,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
        loss = critic(maker(torch.randn(16, 3)).detach()).mean() - critic(real).mean()
        loss = hpo.loss(loss + (slope.norm(2, 1) - 1).square().mean())
        if clears:
            optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        if number % 5 == 4:
            optimizers[1].zero_grad()
            hpo.loss(-critic(maker(torch.randn(16, 3))).mean()).backward()
            optimizers[1].step()
    assert hpo.verdict().cause == ("nothing_wrong_seen" if clears else "stale_gradients")
    first = next(each for each in _babysitter().seen.forwards if each.step > 0)
    assert (first.stale_gradient == 0) is clears
