"""A training in plain PyTorch: a small convolutional network on drawn pictures of 8 x 8 pixels.

    hpo run plain_pytorch.yaml

Killed at any step, it continues there with the same results: all that the loop changes is kept.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import DataLoader, TensorDataset

import hpo


def run(trial: hpo.Trial) -> None:
    """Train one configuration."""
    images, labels = pictures()
    split = int(1400 * trial.data_share)
    model = network(trial["width"], trial["dropout"]).to(trial.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial["lr"], weight_decay=trial["weight_decay"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, trial.budget or 1)
    sums = {"loss": 0.0}
    trial.keep(model=model, optimizer=optimizer, schedule=schedule, sums=sums)

    loader = DataLoader(
        TensorDataset(images[:split], labels[:split]), batch_size=trial["batch_size"], shuffle=True
    )
    batches = trial.babysit(model, optimizer, loader)
    for _ in trial.epochs():
        model.train()
        sums["loss"] = 0.0
        for inputs, targets in trial.steps(batches, resumable=True):
            inputs, targets = inputs.to(trial.device), targets.to(trial.device)
            loss = batches.loss(cross_entropy(model(inputs), targets))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sums["loss"] += loss.item()
        lr = schedule.get_last_lr()[0]
        schedule.step()
        model.eval()
        with torch.no_grad():
            outputs = model(images[1400:].to(trial.device)).cpu()
        trial.report(
            train_loss=sums["loss"] / len(loader),
            val_loss=cross_entropy(outputs, labels[1400:]),
            val_accuracy=(outputs.argmax(1) == labels[1400:]).float().mean(),
            lr=lr,
        )


def network(width: int, dropout: float) -> nn.Module:
    """Return a network for images (B, 1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(8 * width, 10),
    )  # fmt: skip


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Return drawn images (1800, 1, 8, 8) of ten shapes, moved and with noise, and their labels."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (1800,), generator=draws)
    shapes = interpolate(torch.randn(10, 1, 4, 4, generator=draws), scale_factor=2)[labels]
    moves = torch.randint(-2, 3, (1800, 2), generator=draws).tolist()
    moved = torch.stack([shape.roll(move, (1, 2)) for shape, move in zip(shapes, moves, strict=True)])
    return moved + torch.randn(moved.shape, generator=draws), labels
