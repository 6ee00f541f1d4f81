"""Ways to train: averages of weights, several optimizers, compiled and scripted models, pruning."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


def _convnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 9, 10),
    )


def _mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )


@loop("weight averages", target=0.85, lr=0.02, faults=[fault("validates_in_training_mode"), fault("no_step")])
def ema(watch: Watch) -> float:
    """Validates an exponential average of the weights; the optimizer's model is another."""
    pictures, labels = drawn.digits(1600)
    val_pictures, val_labels = drawn.digits(300, seed=1)
    model = _convnet()
    if watch.fault == "validates_in_training_mode":
        model.insert(9, nn.Dropout(0.7))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95), use_buffers=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9, nesterov=True)
    sitter = watch(model, optimizer, classes=10, epochs=5, steps_per_epoch=32)
    sitter.before(pictures[:64], labels[:64], val_pictures[:64], val_labels[:64])
    for _ in range(5):
        model.train()
        for rows in batches(1600, 50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            average.update_parameters(model)
            sitter.step(loss, labels[rows])
        tested = average
        if watch.fault == "validates_in_training_mode":
            tested = model
        else:
            average.eval()
        with torch.no_grad():
            logits = torch.cat([tested(part) for part in val_pictures.split(10)])
        val = accuracy(logits, val_labels)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_labels).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop("weight averages", target=0.85, lr=0.05, faults=[fault("lr_too_high", lr=50.0)])
def swa(watch: Watch) -> float:
    """Averages weights over the last epochs at a constant rate, then updates the statistics (SWA)."""
    pictures, labels = drawn.digits(1600)
    val_pictures, val_labels = drawn.digits(300, seed=1)
    loader = DataLoader(TensorDataset(pictures, labels), batch_size=50, shuffle=True)
    model = _convnet()
    averaged = AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    swa_schedule = SWALR(optimizer, swa_lr=watch.lr, anneal_epochs=2)
    sitter = watch(model, optimizer, classes=10, epochs=6, steps_per_epoch=32, loss_function=F.cross_entropy)
    sitter.before(pictures[:128], labels[:128])
    for epoch in range(6):
        model.train()
        losses = 0.0
        for batch, answers in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(batch), answers)
            loss.backward()
            optimizer.step()
            sitter.step(loss, answers)
            losses += loss.item() / 32
        if epoch >= 3:
            averaged.update_parameters(model)
            swa_schedule.step()
        else:
            schedule.step()
        sitter.epoch(train_loss=losses)
    update_bn(loader, averaged)
    sitter.after()
    averaged.eval()
    with torch.no_grad():
        return accuracy(averaged(val_pictures), val_labels)


@loop(
    "several optimizers",
    target=0.85,
    lr=0.02,
    faults=[fault("no_step", "frozen_parameters"), fault("no_zero_grad")],
)
def two_optimizers(watch: Watch) -> float:
    """SGD for the convolutions, Adam for the head."""
    pictures, labels = drawn.digits(1600)
    val_pictures, val_labels = drawn.digits(300, seed=1)
    model = _convnet()
    body = torch.optim.SGD(model[:-1].parameters(), lr=watch.lr, momentum=0.9)
    head = torch.optim.Adam(model[-1].parameters(), lr=3e-3)
    sitter = watch(
        model, [body, head], classes=10, epochs=5, steps_per_epoch=32, loss_function=F.cross_entropy
    )
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(5):
        model.train()
        for rows in batches(1600, 50):
            if watch.fault != "no_zero_grad":
                body.zero_grad()
                head.zero_grad()
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            loss.backward()
            if watch.fault != "no_step":
                body.step()
                head.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            val = accuracy(model(val_pictures), val_labels)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop("scripted and compiled", target=0.8, lr=0.05, faults=[fault("no_zero_grad"), fault("labels_shuffled")])
def scripted(watch: Watch) -> float:
    """TorchScript."""
    pictures, labels = drawn.digits(1600, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(1600)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.script(_mlp())
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32, loss_function=F.cross_entropy)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(8):
        model.train()
        for rows in batches(1600, 50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            val = accuracy(model(val_pictures), val_labels)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop("scripted and compiled", target=0.8, lr=0.05, faults=[fault("lr_too_high", lr=50.0), fault("no_step")])
def compiled(watch: Watch) -> float:
    """torch.compile, with the eager backend."""
    pictures, labels = drawn.digits(1600, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    model = torch.compile(_mlp(), backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32)
    for _ in range(8):
        model.train()
        for rows in batches(1600, 50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            val = accuracy(model(val_pictures), val_labels)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop("pruning", target=0.8, lr=3e-3, faults=[fault("optimizer_of_old_model")])
def pruning(watch: Watch) -> float:
    """Removes half of the weights by size in the middle of the training, then fine-tunes."""
    pictures, labels = drawn.digits(1600, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    model = _mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":
        model = _mlp()
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32)
    sitter.before(pictures[:100], labels[:100], val_pictures[:100], val_labels[:100])
    for epoch in range(8):
        if epoch == 4:
            for layer in (model[1], model[3]):
                prune.l1_unstructured(layer, "weight", amount=0.5)
        model.train()
        for rows in batches(1600, 50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            val = accuracy(model(val_pictures), val_labels)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    return val


class Recomputed(nn.Module):
    """Forgets the hidden activations, and computes these again in backward."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(144, 64), nn.ReLU())
        self.middle = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(checkpoint(self.middle, self.first(pictures), use_reentrant=False))


@loop("recomputation", target=0.8, lr=3e-3, faults=[fault("large_init"), fault("not_shuffled")])
def recomputation(watch: Watch) -> float:
    """torch.utils.checkpoint around the middle of the network."""
    pictures, labels = drawn.digits(1600, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    if watch.fault == "not_shuffled":
        pictures, labels = pictures[labels.argsort()], labels.sort().values
    model = Recomputed()
    if watch.fault == "large_init":
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=3.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
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
        model.eval()
        with torch.no_grad():
            logits = model(val_pictures)
        val = accuracy(logits, val_labels)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_labels).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


class Lookahead(torch.optim.Optimizer):
    """SGD whose slow weights follow every five steps; written without a base optimizer."""

    def __init__(self, parameters, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})
        self.steps = 0

    @torch.no_grad()
    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                slow = state.setdefault("slow", parameter.clone())
                parameter -= group["lr"] * parameter.grad
                if self.steps % 5 == 0:
                    slow += 0.8 * (parameter - slow)
                    parameter.copy_(slow)


@loop("own optimizer", target=0.8, lr=0.3, faults=[fault("zero_init"), fault("lr_too_low", lr=1e-5)])
def lookahead(watch: Watch) -> float:
    """An optimizer of one's own, which takes weights back at times."""
    pictures, labels = drawn.digits(1600, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    model = _mlp()
    if watch.fault == "zero_init":
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    optimizer = Lookahead(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=16, steps_per_epoch=32)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(16):
        model.train()
        for rows in batches(1600, 50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            val = accuracy(model(val_pictures), val_labels)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    return val
