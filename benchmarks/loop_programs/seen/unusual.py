"""Losses with gradients in them, and networks of which only a part answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


@loop("second derivatives", target=0.85, lr=5e-3, faults=[fault("wrong_sign"), fault("no_backward")])
def gradient_penalty(watch: Watch) -> float:
    """Regression on values and slopes (Sobolev training): the loss has a gradient in it."""
    model = nn.Sequential(nn.Linear(2, 64), nn.Softplus(), nn.Linear(64, 64), nn.Softplus(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", steps_per_epoch=250)
    for _ in range(250):
        x = (4 * torch.rand(128, 2) - 2).requires_grad_()
        y = torch.sin(x[:, :1]) * x[:, 1:]
        slopes = torch.autograd.grad(y.sum(), x)[0]
        out = model(x)
        found = torch.autograd.grad(out.sum(), x, create_graph=True)[0]
        loss = F.mse_loss(out, y.detach()) + 0.5 * F.mse_loss(found, slopes.detach())
        if watch.fault == "wrong_sign":
            loss = 0.5 * F.mse_loss(found, slopes.detach()) - F.mse_loss(out, y.detach())
        optimizer.zero_grad()
        if watch.fault != "no_backward":
            loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    return explained(out, y)


class Experts(nn.Module):
    """The best of four experts answers for each example; an expert may have nothing to do in a step."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 6)) for _ in range(4)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shares = self.gate(x).softmax(1)
        share, chosen = shares.max(1)
        out = x.new_zeros(len(x), 6)
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero().flatten()
            if len(rows):
                out = out.index_add(0, rows, share[rows, None] * expert(x[rows]))
        return out, shares


@loop("experts", target=0.85, lr=5e-3, faults=[fault("softmax_twice"), fault("labels_shuffled")])
def experts(watch: Watch) -> float:
    """A mixture of experts with a loss that balances these; output is a tuple."""
    x, y = drawn.clusters(1500, 6, 8, spread=1.2)
    val_x, val_y = drawn.clusters(300, 6, 8, seed=1, spread=1.2)
    if watch.fault == "labels_shuffled":
        y = y[torch.randperm(1500)]
    model = Experts()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=6, epochs=8, steps_per_epoch=30)
    sitter.before(x[:200], y[:200], val_x[:200], val_y[:200])
    for _ in range(8):
        model.train()
        for rows in batches(1500, 50):
            logits, shares = model(x[rows])
            if watch.fault == "softmax_twice":
                logits = logits.softmax(1)
            loss = F.cross_entropy(logits, y[rows]) + 0.1 * 4 * (shares.mean(0) ** 2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
        model.eval()
        with torch.no_grad():
            logits = model(val_x)[0]
        val = accuracy(logits, val_y)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    if watch.fault == "softmax_twice":
        logits = logits.softmax(1)
    return min(val, 1 - F.cross_entropy(logits, val_y).item() / 1.7918 + 0.1)
