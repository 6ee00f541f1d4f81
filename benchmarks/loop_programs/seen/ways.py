"""Ways to train: precisions, schedules, accumulation, wrappers, resumed runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


@loop("order of examples", target=0.75, lr=3e-3, faults=[fault("labels_shuffled"), fault("dead_biases")])
def curriculum(watch: Watch) -> float:
    """Clean pictures first, noisier ones later; the loss rises in between."""
    pictures, labels = drawn.digits(1600, noise=0.0)
    val_pictures, val_labels = drawn.digits(300, seed=1)
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(1600)]
    model = _convnet()
    if watch.fault == "dead_biases":
        nn.init.constant_(model[5].bias, -20.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=5, steps_per_epoch=32)
    sitter.before(pictures[:128], labels[:128])
    for epoch in range(5):
        model.train()
        for rows in batches(1600, 50):
            noisy = pictures[rows] + 0.05 * epoch * torch.randn(50, 1, 12, 12)
            loss = F.cross_entropy(model(noisy), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


@loop("two passes a step", target=0.8, lr=0.05, faults=[fault("no_zero_grad"), fault("lr_too_high", lr=50.0)])
def sam(watch: Watch) -> float:
    """Sharpness-aware minimization: climbs, takes the gradient there, and steps from where it was."""
    pictures, labels, val_pictures, val_labels = _data()
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32, loss_function=F.cross_entropy)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(8):
        model.train()
        for rows in batches(1600, 50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            loss.backward()
            with torch.no_grad():
                norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm() + 1e-12
                climbs = [0.02 * p.grad / norm for p in model.parameters()]
                for parameter, climb in zip(model.parameters(), climbs, strict=True):
                    parameter += climb
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            F.cross_entropy(model(pictures[rows]), labels[rows]).backward()
            with torch.no_grad():
                for parameter, climb in zip(model.parameters(), climbs, strict=True):
                    parameter -= climb
            optimizer.step()
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


@loop(
    "precision",
    target=0.8,
    lr=0.05,
    faults=[fault("gradients_underflow"), fault("no_step"), fault("scaled_to_nothing")],
)
def bf16(watch: Watch) -> float:
    """Mixed precision by autocast."""
    pictures, labels, val_pictures, val_labels = _data()
    if watch.fault == "scaled_to_nothing":
        pictures, val_pictures = pictures / 255 / 255, val_pictures / 255 / 255
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=10, task="classification", epochs=10, steps_per_epoch=32)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(10):
        model.train()
        for rows in batches(1600, 50):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(pictures[rows])
                loss = F.cross_entropy(logits.float(), labels[rows])
            scaled = loss
            if watch.fault == "gradients_underflow":  # fp16 gradients without a scaler
                scaled = (loss * 1e-4).half().float()
            scaled.backward()
            if watch.fault == "gradients_underflow":
                for parameter in model.parameters():
                    parameter.grad.copy_((parameter.grad * 1e-3).half().float() * 1e3)
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


@loop(
    "accumulation",
    target=0.8,
    lr=0.05,
    faults=[fault("no_zero_grad"), fault("labels_shuffled"), fault("same_batch")],
)
def accumulation(watch: Watch) -> float:
    """Adds up the gradients of four small batches for each step."""
    pictures, labels, val_pictures, val_labels = _data()
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(1600)]
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=100)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    first = torch.arange(16)
    for _ in range(8):
        model.train()
        for number, batch in enumerate(batches(1600, 16), 1):
            rows = first if watch.fault == "same_batch" else batch
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            (loss / 4).backward()
            if number % 4 == 0:
                optimizer.step()
                if watch.fault != "no_zero_grad":
                    optimizer.zero_grad()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


@loop(
    "schedules",
    target=0.8,
    lr=0.1,
    faults=[fault("schedule_to_zero"), fault("momentum_too_high", momentum=0.9995)],
    momentum=0.9,
)
def warm_restarts(watch: Watch) -> float:
    """Cosine annealing with warm restarts: the rate comes near zero and jumps back (SGDR)."""
    pictures, labels, val_pictures, val_labels = _data()
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=watch.momentum)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=96)
    if watch.fault == "schedule_to_zero":
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8, eta_min=0)
    sitter = watch(model, optimizer, classes=10, epochs=9, steps_per_epoch=32)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    steps = 0
    for _ in range(9):
        model.train()
        for rows in batches(1600, 50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            if watch.fault != "schedule_to_zero" or steps <= 8:
                schedule.step()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


@loop(
    "schedules",
    target=0.8,
    lr=0.3,
    faults=[fault("lr_too_low", lr=1e-5), fault("schedule_per_batch", "lr_too_low", lr=0.3)],
)
def one_cycle(watch: Watch) -> float:
    """OneCycleLR, stepped each batch; the rate starts at a 25th of its peak and ends at nothing."""
    pictures, labels, val_pictures, val_labels = _data()
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.85)
    steps = 8 * 32
    if watch.fault == "schedule_per_batch":  # stepped each epoch, though made for batches
        steps *= 40
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, watch.lr, total_steps=steps + 1, div_factor=1e3 if steps > 300 else 25.0
    )
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32, loss_function=F.cross_entropy)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(8):
        model.train()
        for rows in batches(1600, 50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if watch.fault != "schedule_per_batch":
                schedule.step()
            sitter.step(loss, labels[rows])
        if watch.fault == "schedule_per_batch":
            schedule.step()
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val


@loop("lazy modules", target=0.8, lr=0.1, faults=[fault("zero_init"), fault("no_zero_grad", lr=0.5)])
def lazy_modules(watch: Watch) -> float:
    """Shapes are found in the first forward, after the babysitter came."""
    pictures, labels, val_pictures, val_labels = _data()
    model = nn.Sequential(
        nn.LazyConv2d(12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.LazyLinear(64),
        nn.ReLU(),
        nn.LazyLinear(10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.5)
    sitter = watch(model, optimizer, classes=10, epochs=6, steps_per_epoch=32)
    started = False
    for _ in range(6):
        model.train()
        for rows in batches(1600, 50):
            logits = model(pictures[rows])
            if watch.fault == "zero_init" and not started:
                started = True
                for parameter in model.parameters():
                    nn.init.zeros_(parameter)
                logits = model(pictures[rows])
            loss = F.cross_entropy(logits, labels[rows])
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        val = _validate(model, val_pictures, val_labels, sitter)
    sitter.after()
    return val
