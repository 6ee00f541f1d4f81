"""The babysitter in loops as users write them: it changes nothing, and names what is wrong with them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.babysitter import Babysitter
from hpo.checks.judge import replay
from hpo.checks.plain_words import Vocabulary, in_words
from hpo.checks.verdict import Verdict
from hpo.config.thresholds import Thresholds
from tests.helpers.observed import CODE_FIXES, check_finding

CLASSES, BATCH, STEPS = 10, 32, 20


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Ten classes that differ in which row is bright, under noise; standardized, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randperm(count, generator=generator) % CLASSES
    images = torch.randn(count, 3, 10, 10, generator=generator)
    images[torch.arange(count), :, labels] += 1.5
    return (images - images.mean()) / images.std(), labels


TRAIN, VAL = pictures(BATCH * STEPS, 1), pictures(400, 2)


def network(*last: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(200, 32), nn.ReLU(), nn.Linear(32, CLASSES), *last),
    )


@dataclass
class Program:
    """A training loop as its author wrote it; mistakes are what a test changes."""

    model: nn.Module = field(default_factory=network)
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    lr: float = 0.05
    epochs: int = 4
    parameters: Callable[[nn.Module], Any] = lambda model: model.parameters()
    zero: bool = True
    train_mode: bool = True
    order: Tensor | None = None
    labels: Tensor = TRAIN[1]
    checks: Any = "standard"
    at_once: bool = False

    def run(self) -> Babysitter:
        model, images, labels = self.model, TRAIN[0], self.labels
        order = torch.arange(len(labels)) if self.order is None else self.order
        optimizer = torch.optim.SGD(self.parameters(model), lr=self.lr, momentum=0.9)
        babysitter = Babysitter(
            model, optimizer, classes=CLASSES, epochs=self.epochs, steps_per_epoch=STEPS,
            loss_function=self.loss, checks=self.checks,
        )  # fmt: skip
        torch.manual_seed(1)
        found = babysitter.before(images[order[:256]], labels[order[:256]], *VAL)
        if any(finding.severity == "fatal" for finding in found):
            return babysitter
        for _ in range(self.epochs):
            if self.train_mode:
                model.train()
            losses = []
            for rows in order.split(BATCH):
                loss = self.loss(model(images[rows]), labels[rows])
                if self.zero:
                    optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
                if not self.at_once and babysitter.step(loss, labels[rows]) is not None:
                    return babysitter
            if self.at_once and babysitter.steps(torch.stack(losses)) is not None:
                return babysitter
            model.eval()
            with torch.no_grad():
                logits, trained = model(VAL[0]), model(images)
            train_accuracy = float((trained.argmax(1) == labels).float().mean())
            val_accuracy = float((logits.argmax(1) == VAL[1]).float().mean())
            facts: dict[str, Any] = {
                "train_loss": float(torch.stack(losses).mean()),
                "train_accuracy": train_accuracy,
                "val_loss": float(F.cross_entropy(logits, VAL[1])),
                "val_accuracy": val_accuracy,
            }
            if babysitter.epoch(**facts, val_images=len(VAL[1])) is not None:
                return babysitter
        babysitter.after()
        return babysitter


def judged(program: Program) -> Verdict:
    babysitter = program.run()
    for finding in babysitter.findings:
        check_finding(finding)
    return babysitter.verdict()


def test_a_sound_program_is_healthy() -> None:
    babysitter = Program().run()
    assert babysitter.verdict().cause == "healthy"
    assert [each for each in babysitter.findings if each.severity in ("warn", "fatal")] == []
    assert babysitter.seen.curve[-1].val_accuracy > 0.8
    assert babysitter.seen.steps == babysitter.seen.optimizer_steps == 80


MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "sign": (
        {"loss": lambda logits, labels: -F.cross_entropy(logits, labels)},
        "wrong_loss",
        "fix_loss_sign",
    ),
    "sum": (
        {"loss": lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum")},
        "wrong_loss",
        "use_mean_reduction",
    ),
    "no log_softmax": ({"loss": F.nll_loss}, "wrong_loss", "use_cross_entropy"),
    "zero_grad": ({"zero": False}, "stale_gradients", "call_zero_grad"),
    "half the parameters": (
        {"parameters": lambda model: model[7].parameters()},
        "frozen_parameters",
        "give_all_parameters",
    ),
    "train mode": ({"train_mode": False}, "eval_mode", "call_train"),
    "sorted": ({"order": TRAIN[1].argsort(stable=True)}, "batch_composition", "shuffle_batches"),
    "labels from 1": ({"labels": TRAIN[1] + 1}, "bad_labels", "fix_labels"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_verdict_names_the_mistake_of_a_program(mistake: str) -> None:
    changes, cause, code = MISTAKES[mistake]
    verdict = judged(Program(**changes))
    assert verdict.cause == cause
    assert verdict.change == {"code": code} and code in CODE_FIXES
    assert verdict.remedy and 0 < verdict.confidence <= 1


def test_verdict_names_a_second_softmax() -> None:
    verdict = judged(Program(model=network(nn.Softmax(1))))
    assert (verdict.cause, verdict.change) == ("softmax_twice", {"code": "remove_output_activation"})


def test_verdict_names_a_learning_rate_far_too_high() -> None:
    verdict = judged(Program(lr=50.0))
    assert verdict.cause == "lr_too_high" and verdict.change["lr"] <= 50 / 3


def test_preset_off_observes_nothing() -> None:
    babysitter = Program(checks="off").run()
    assert babysitter.findings == [] and babysitter.seen.steps == 0 and babysitter.seen.preflight is None
    assert babysitter.verdict().cause == "not_enough_seen"


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "batch norm": network,
    "dropout": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(300, 32), nn.Dropout(0.5), nn.Linear(32, CLASSES)
    ),
    "rrelu": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.RReLU(), nn.Flatten(), nn.Linear(256, CLASSES)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_watching_leaves_weights_bit_for_bit_the_same(name: str) -> None:
    states = []
    for checks in ("off", "full"):
        torch.manual_seed(3)
        model = NETWORKS[name]()
        Program(model=model, epochs=2, lr=0.01, checks=checks).run()
        states.append(model.state_dict())
    unwatched, watched = states
    assert unwatched and unwatched.keys() == watched.keys()
    assert not [name for name, each in unwatched.items() if not torch.equal(each, watched[name])]


def hooks(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    own = len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)
    return own + sum(len(each._forward_hooks) for each in model.modules())


@pytest.mark.parametrize("end", ["close", "after", "with"])
def test_hooks_are_removed_at_the_end(end: str) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    babysitter = Babysitter(model, optimizer, classes=CLASSES)
    assert hooks(model, optimizer) == 7
    babysitter.before(TRAIN[0][:64], TRAIN[1][:64])
    if end == "with":
        with babysitter:
            pass
    else:
        getattr(babysitter, end)()
    assert hooks(model, optimizer) == 0
    alive = weakref.ref(model), weakref.ref(optimizer)
    del model, optimizer, babysitter
    gc.collect()
    assert [each() for each in alive] == [None, None]


def test_losses_one_by_one_and_at_once_and_replayed_give_the_same() -> None:
    one, many = Program(lr=5.0).run(), Program(lr=5.0, at_once=True).run()
    assert one.findings and one.findings == many.findings
    assert in_words(Vocabulary(), replay(one.seen, Thresholds())) == one.findings


def test_a_loop_that_accumulates_gradients_is_healthy() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    with Babysitter(model, optimizer, classes=CLASSES, epochs=4, steps_per_epoch=STEPS) as babysitter:
        babysitter.before(TRAIN[0][:256], TRAIN[1][:256], *VAL)
        for _ in range(4):
            for number, rows in enumerate(torch.arange(len(TRAIN[1])).split(BATCH), 1):
                loss = F.cross_entropy(model(TRAIN[0][rows]), TRAIN[1][rows])
                (loss / 2).backward()
                if number % 2 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
                assert babysitter.step(loss, TRAIN[1][rows]) is None
            babysitter.epoch()
        babysitter.after()
    assert babysitter.verdict().cause == "nothing_wrong_seen"  # no validation accuracy
    assert babysitter.seen.optimizer_steps == 40


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
def test_before_with_fewer_than_two_examples_returns_a_note(count: int, norm: type[nn.Module]) -> None:
    """Warnings of PyTorch would be errors here."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, 8), norm(8), nn.ReLU(), nn.Linear(8, CLASSES))
    with Babysitter(model, torch.optim.SGD(model.parameters(), lr=0.05), classes=CLASSES) as babysitter:
        (found,) = babysitter.before(TRAIN[0][:count], TRAIN[1][:count], *VAL)
        for size in (BATCH, 7, 2):
            loss = F.cross_entropy(model(TRAIN[0][:size]), TRAIN[1][:size])
            loss.backward()
            babysitter._optimizers[0].step()
            babysitter.step(loss, TRAIN[1][:size])
        babysitter.epoch(val_accuracy=0.5, val_images=2)
        babysitter.after()
    assert found.severity == "note" and found.remedy.text
    assert found.message.startswith(f"the checks before training got {count} example")


@pytest.mark.parametrize("val", [0, 1, 2])
def test_before_takes_two_examples_and_any_number_of_validation(val: int) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    with Babysitter(
        model, torch.optim.SGD(model.parameters(), lr=0.05), classes=CLASSES, checks="full"
    ) as babysitter:
        babysitter.before(TRAIN[0][:2], TRAIN[1][:2], VAL[0][:val], VAL[1][:val])
        assert babysitter.seen.preflight is not None
        assert (babysitter.seen.preflight.val_images is None) == (val == 0)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (7, 3, 1), (0, 5, 5)])
def test_batches_of_any_size_are_watched(sizes: tuple[int, ...]) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with Babysitter(model, optimizer, classes=CLASSES, checks="full") as babysitter:
        babysitter.before(TRAIN[0][:64], TRAIN[1][:64])
        for size in sizes:
            loss = F.cross_entropy(model(TRAIN[0][:size]), TRAIN[1][:size], reduction="sum")
            loss.backward()
            optimizer.step()
            babysitter.step(loss, TRAIN[1][:size])
        babysitter.epoch()
    assert babysitter.seen.steps == len(sizes) and len(babysitter.seen.audits) == len(sizes) - 1
