"""Energies of pairs, operators on functions, and weights that are good to start from."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


@loop(
    "energies",
    target=0.85,
    lr=5e-3,
    faults=[fault("wrong_sign"), fault("no_zero_grad"), fault("labels_shuffled")],
)
def contrastive_energies(watch: Watch) -> float:
    """Noise-contrastive: which of sixteen answers belongs to the question."""
    questions = torch.randn(1600, 6)
    turn = torch.linalg.qr(torch.randn(6, 6))[0]
    answers = torch.tanh(questions @ turn) + 0.1 * torch.randn(1600, 6)
    if watch.fault == "labels_shuffled":
        answers[:1400] = answers[torch.randperm(1400)]
    energy = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.SGD(energy.parameters(), lr=10 * watch.lr, momentum=0.9)
    sitter = watch(energy, optimizer, epochs=12, steps_per_epoch=43)

    def energies(rows: Tensor) -> Tensor:
        size = len(rows)
        both = torch.cat([
            questions[rows].unsqueeze(1).expand(size, size, 6),
            answers[rows].unsqueeze(0).expand(size, size, 6),
        ], 2)  # fmt: skip
        return energy(both).squeeze(-1)

    for _ in range(12):
        for rows in torch.randperm(1400)[:1376].split(32):
            found = energies(rows)
            loss = F.cross_entropy(found if watch.fault == "wrong_sign" else -found, torch.arange(32))
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            parts = torch.arange(1400, 1592).split(16)
            right = sum(accuracy(-energies(rows), torch.arange(16)) for rows in parts) / len(parts)
        sitter.epoch(train_loss=loss.item(), val_accuracy=right, val_images=192)
    sitter.after()
    return right


class DeepONet(nn.Module):
    """A branch for the function, a trunk for the place; their product is the value."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 24))
        self.trunk = nn.Sequential(nn.Linear(1, 48), nn.Tanh(), nn.Linear(48, 24))

    def forward(self, function: Tensor, place: Tensor) -> Tensor:
        return torch.einsum("bi,ti->bt", self.branch(function), self.trunk(place))


@loop(
    "operators",
    target=0.8,
    lr=5e-3,
    faults=[
        fault("ignores_input"),
        fault("detached"),
        fault("few_examples"),
        fault("momentum_too_high", momentum=0.9999),
    ],
    momentum=0.9,
)
def deeponet(watch: Watch) -> float:
    """Antiderivatives of random functions."""
    weights = torch.randn(700, 4) / torch.arange(1, 5)
    grid = torch.linspace(0, 1, 16)[:, None]
    waves = torch.arange(1, 5) * 3.1416
    functions, integrals = (
        weights @ torch.cos(waves * grid).T,
        weights @ (torch.sin(waves * grid) / waves).T * 4,
    )
    count = 2 if watch.fault == "few_examples" else 600
    model = DeepONet()
    if watch.fault == "detached":
        model.branch.register_forward_hook(lambda module, inputs, output: output.detach() * 0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=watch.momentum)
    sitter = watch(model, optimizer, task="regression", epochs=25, steps_per_epoch=30)
    for _ in range(25):
        for _step in range(30):
            rows = torch.randint(count, (32,))
            given = functions[rows] * 0 if watch.fault == "ignores_input" else functions[rows]
            loss = F.mse_loss(model(given, grid), integrals[rows])
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            found = model(functions[600:], grid)
        sitter.epoch(train_loss=loss.item(), val_loss=F.mse_loss(found, integrals[600:]).item())
    sitter.after()
    return explained(found, integrals[600:])


@loop(
    "loops within loops",
    target=0.45,
    lr=0.5,
    faults=[fault("no_step"), fault("lr_too_high", lr=30.0), fault("labels_shuffled")],
)
def reptile(watch: Watch) -> float:
    """OpenAI's Reptile on few-shot lines: the weights move towards those after a few steps on a task."""
    weights = torch.randn(6, 3, generator=torch.Generator().manual_seed(4))

    def task() -> tuple[Tensor, Tensor]:
        x = torch.randn(20, 6)
        y = (x @ weights).tanh().sum(1, keepdim=True) + 0.3 * torch.randn(1)
        return x, y[torch.randperm(20)] if watch.fault == "labels_shuffled" and net.training else y

    net = nn.Sequential(nn.Linear(6, 48), nn.Tanh(), nn.Linear(48, 1))

    def adapt(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        inner = torch.optim.SGD(net.parameters(), lr=0.05)
        for _ in range(5):
            loss = F.mse_loss(net(x), y)
            inner.zero_grad()
            loss.backward()
            inner.step()
        return loss

    sitter = watch(net, None, task="regression", epochs=1, steps_per_epoch=600)
    for turn in range(600):
        before = copy.deepcopy(net.state_dict())
        loss = adapt(net, *task())
        after = net.state_dict()
        rate = 0.0 if watch.fault == "no_step" else watch.lr * (1 - turn / 600)
        net.load_state_dict({name: before[name] + rate * (after[name] - before[name]) for name in before})
        sitter.step(loss)
    sitter.after()
    net.eval()
    scores = []
    for _ in range(20):
        x, y = task()
        learner = copy.deepcopy(net)
        adapt(learner, x[:8], y[:8])
        scores.append(explained(learner(x[8:]), y[8:]))
    return sum(scores) / 20
