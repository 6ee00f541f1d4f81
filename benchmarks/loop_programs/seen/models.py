"""Kinds of models and runs: wrappers, quantization, dataclasses, dicts, resumed and very short runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Sitter, Watch


def _mlp(outputs: int = 10) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs)
    )


def _convnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 9, 10),
    )  # fmt: skip


def _data(count: int = 1600) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return *drawn.digits(count, noise=0.05), *drawn.digits(300, seed=1, noise=0.05)


def _validate(model: nn.Module, pictures: Tensor, labels: Tensor, sitter: Sitter) -> float:
    model.eval()
    with torch.no_grad():
        logits = model(pictures).float()
    val = accuracy(logits, labels)
    sitter.epoch(val_loss=F.cross_entropy(logits, labels).item(), val_accuracy=val, val_images=len(labels))
    return val


class Wrapped(nn.Module):
    """Like DataParallel: another module inside, split batches, joined outputs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.cat([self.module(part) for part in pictures.chunk(2)])


@loop(
    "wrappers",
    target=0.8,
    lr=0.05,
    faults=[fault("softmax_twice"), fault("optimizer_of_old_model"), fault("not_shuffled")],
)
def wrapped(watch: Watch) -> float:
    """The model is called twice within each step, by a wrapper."""
    pictures, labels, val_pictures, val_labels = _data()
    if watch.fault == "not_shuffled":
        pictures, labels = pictures[labels.argsort()], labels.sort().values
    network = _mlp()
    optimizer = torch.optim.SGD(network.parameters(), lr=watch.lr, momentum=0.9)
    if watch.fault == "optimizer_of_old_model":
        network = _mlp()
    if watch.fault == "softmax_twice":
        network.append(nn.Softmax(dim=1))
    model = Wrapped(network)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32, loss_function=F.cross_entropy)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(8):
        model.train()
        order = torch.arange(1600) if watch.fault == "not_shuffled" else torch.randperm(1600)
        for rows in order.split(50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


class Rounded(torch.autograd.Function):
    """Rounds to 8 bits; the gradient passes straight through."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        scale = x.abs().max() / 127 + 1e-12
        return (x / scale).round() * scale

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return gradient


class RoundedLinear(nn.Linear):
    """Rounded weights and inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(Rounded.apply(x), Rounded.apply(self.weight), self.bias)


@loop("quantization", target=0.8, lr=0.05, faults=[fault("wrong_sign"), fault("no_log")])
def quantization_aware(watch: Watch) -> float:
    """Trains with fake quantization of weights and activations."""
    pictures, labels, val_pictures, val_labels = _data()
    model = nn.Sequential(
        nn.Flatten(),
        RoundedLinear(144, 64),
        nn.ReLU(),
        RoundedLinear(64, 64),
        nn.ReLU(),
        RoundedLinear(64, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(8):
        model.train()
        for rows in batches(1600, 50):
            logits = model(pictures[rows])
            loss = (
                F.nll_loss(logits, labels[rows])
                if watch.fault == "no_log"
                else F.cross_entropy(logits, labels[rows])
            )
            if watch.fault == "wrong_sign":
                loss = -loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val if watch.fault != "no_log" else -1.0


@dataclass
class Answer:
    """What a model returns."""

    logits: Tensor
    features: Tensor


class Answering(nn.Module):
    """Returns a dataclass."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = _mlp(32), nn.Linear(32, 10)

    def forward(self, pictures: Tensor) -> Answer:
        features = F.relu(self.body(pictures))
        return Answer(self.head(features), features)


@loop(
    "dataclasses",
    target=0.75,
    lr=3e-3,
    faults=[
        fault("no_zero_grad", lr=0.02),
        fault("detached"),
        fault("softmax_twice"),
        fault("labels_shuffled"),
    ],
)
def dataclass_outputs(watch: Watch) -> float:
    """Logits and features in a dataclass; a center loss pulls the features together."""
    pictures, labels, val_pictures, val_labels = _data()
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(1600)]
    model = Answering()
    centers = nn.Parameter(torch.zeros(10, 32))
    optimizer = torch.optim.Adam([*model.parameters(), centers], lr=watch.lr)
    if watch.fault == "detached":
        model.body.register_forward_hook(lambda module, inputs, output: output.detach())
        model.body[1].weight.data.mul_(0.02)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(8):
        model.train()
        for rows in batches(1600, 50):
            answer = model(pictures[rows])
            logits = answer.logits.softmax(1) if watch.fault == "softmax_twice" else answer.logits
            loss = F.cross_entropy(logits, labels[rows])
            loss = loss + 0.003 * ((answer.features - centers[labels[rows]]) ** 2).sum(1).mean()
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            logits = model(val_pictures).logits
        val = accuracy(logits, val_labels)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    if watch.fault == "softmax_twice":
        return val - float(F.cross_entropy(logits.softmax(1), val_labels) > 1.2)
    return val


class Digits(Dataset):
    """Items as dicts."""

    def __init__(self, count: int, seed: int, wrong: bool = False) -> None:
        self.pictures, self.labels = drawn.digits(count, seed=seed, noise=0.05)
        if wrong:
            self.labels = self.labels.roll(1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"image": self.pictures[row], "label": self.labels[row]}


@loop(
    "loaders",
    target=0.8,
    lr=0.05,
    faults=[fault("labels_shuffled"), fault("lr_too_low", lr=1e-6), fault("dropout_too_high", dropout=0.98)],
    dropout=0.1,
)
def dict_loader(watch: Watch) -> float:
    """A DataLoader of dicts; the batch is given to the babysitter as it comes."""
    loader = DataLoader(Digits(1600, 0, watch.fault == "labels_shuffled"), batch_size=50, shuffle=True)
    val = next(iter(DataLoader(Digits(300, 1), batch_size=300)))
    model = _mlp()
    model.insert(5, nn.Dropout(watch.dropout))
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=len(loader))
    first = next(iter(loader))
    sitter.before(first["image"], first["label"], val["image"], val["label"])
    for _ in range(8):
        model.train()
        for batch in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(batch["image"]), batch["label"])
            loss.backward()
            optimizer.step()
            sitter.step(loss, batch["label"])
        right = _validate(model, val["image"], val["label"], sitter)
    sitter.after()
    return right


@loop("resumed", target=0.85, lr=3e-3, faults=[fault("lr_too_high", lr=3.0), fault("optimizer_of_old_model")])
def resumed(watch: Watch) -> float:
    """Continues from a checkpoint: weights and the optimizer's state are loaded, the loss is low at once."""
    pictures, labels, val_pictures, val_labels = _data()
    former = _mlp()
    optimizer = torch.optim.Adam(former.parameters(), lr=3e-3)
    for rows in _epochs(4):
        optimizer.zero_grad()
        F.cross_entropy(former(pictures[rows]), labels[rows]).backward()
        optimizer.step()
    saved = {"model": former.state_dict(), "optimizer": optimizer.state_dict()}
    model = _mlp()
    if watch.fault != "optimizer_of_old_model":
        optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        for group in optimizer.param_groups:
            group["lr"] = watch.lr
    sitter = watch(model, optimizer, classes=10, epochs=4, steps_per_epoch=32)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(4):
        model.train()
        for rows in batches(1600, 50):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


def _epochs(count: int) -> Iterator[Tensor]:
    for _ in range(count):
        yield from batches(1600, 50)


@loop("short training", target=0.6, lr=1e-4, evidence=False)
def few_steps(watch: Watch) -> float:
    """Six steps at a small rate with a validation: too short to tell."""
    pictures, labels, val_pictures, val_labels = _data(300)
    model = _mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=1, steps_per_epoch=6)
    for rows in batches(300, 50):
        loss = F.cross_entropy(model(pictures[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels[rows])
    val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


@loop("short training", target=0.5, lr=1e-3, evidence=False)
def nothing_reported(watch: Watch) -> float:
    """The loop forgets to tell its losses; nothing that it learns is seen."""
    pictures, labels = drawn.digits(200)
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10)
    for rows in torch.arange(200).split(50):
        optimizer.zero_grad()
        F.cross_entropy(model(pictures[rows]), labels[rows]).backward()
        optimizer.step()
    sitter.after()
    return accuracy(model(pictures), labels)
