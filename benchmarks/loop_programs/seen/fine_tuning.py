"""Fine-tuning: a frozen body, one layer after another."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


def _body() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip


def _pretrained() -> nn.Sequential:
    """A body that knows all digits in clean pictures."""
    pictures, labels = drawn.digits(1500, seed=5, noise=0.05)
    body, head = _body(), nn.Linear(24 * 9, 10)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(2):
        for rows in batches(1500, 50):
            optimizer.zero_grad()
            F.cross_entropy(head(body(pictures[rows])), labels[rows]).backward()
            optimizer.step()
    return body


@loop(
    "fine-tuning",
    target=0.85,
    lr=0.05,
    faults=[fault("not_in_optimizer"), fault("labels_shuffled"), fault("schedule_to_zero")],
)
def frozen_backbone(watch: Watch) -> float:
    """Trains a new head on a frozen body (transfer learning tutorial): even or odd and small or large."""
    pictures, labels = drawn.digits(1000)
    labels = labels % 2 + 2 * (labels // 5)
    val_pictures, val_labels = pictures[800:], labels[800:]
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(1000)]
    model = nn.Sequential(_pretrained())
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.append(nn.Linear(24 * 9, 4))
    if watch.fault == "not_in_optimizer":  # only the head's bias
        optimizer = torch.optim.SGD([model[-1].bias], lr=watch.lr, momentum=0.9)
    else:
        optimizer = torch.optim.SGD(model[-1].parameters(), lr=watch.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(
        optimizer, 1e-6 if watch.fault == "schedule_to_zero" else 0.9
    )
    sitter = watch(
        model, optimizer, classes=4, epochs=8, steps_per_epoch=16, loss_function=nn.CrossEntropyLoss()
    )
    sitter.before(pictures[:100], labels[:100], val_pictures[:100], val_labels[:100])
    for _ in range(8):
        model.train()
        for rows in batches(800, 50):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            if watch.fault == "schedule_to_zero":
                schedule.step()
            sitter.step(loss, labels[rows])
        schedule.step()
        model.eval()
        with torch.no_grad():
            logits = model(val_pictures)
        val = accuracy(logits, val_labels)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_labels).item(), val_accuracy=val, val_images=200)
    sitter.after()
    return val


@loop("fine-tuning", target=0.85, lr=2e-3, faults=[fault("lr_too_high", lr=3.0), fault("frozen")])
def gradual_unfreezing(watch: Watch) -> float:
    """One more layer is trained in each epoch, from the head down (ULMFiT)."""
    pictures, labels = drawn.digits(1000)
    labels = (labels >= 3).long() + (labels >= 6).long()
    model = nn.Sequential(*_pretrained(), nn.Linear(24 * 9, 32), nn.ReLU(), nn.Linear(32, 3))
    layers = [model[11], model[9], model[4], model[0]]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if watch.fault == "frozen":
        layers = []
        model[11].bias.requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=3, epochs=6, steps_per_epoch=16)
    sitter.before(pictures[:100], labels[:100], pictures[800:], labels[800:])
    for epoch in range(6):
        if epoch < len(layers):
            layers[epoch].requires_grad_(True)
        model.train()
        for rows in batches(800, 50):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            val = accuracy(model(pictures[800:]), labels[800:])
        sitter.epoch(val_accuracy=val, val_images=200)
    sitter.after()
    return val
