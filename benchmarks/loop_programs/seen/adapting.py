"""Trained parts that meet new ones, and other ways to write a step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader, IterableDataset

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class LowRank(nn.Module):
    """Adds a product of two thin matrices to a frozen weight (LoRA)."""

    def __init__(self, rows: int, columns: int, zeros: bool) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(torch.randn(8, columns) / 8), nn.Parameter(torch.zeros(rows, 8))
        if zeros:
            nn.init.zeros_(self.down)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 2 * self.up @ self.down


def _pretrained() -> nn.Sequential:
    """Return a network that knows upright digits."""
    pictures, labels = drawn.digits(800, noise=0.05)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(6):
        for rows in torch.randperm(800).split(50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


@loop(
    "adapters",
    target=0.7,
    lr=5e-3,
    faults=[
        fault("zero_init"),
        fault("frozen", "frozen_parameters", "detached", raises=True),
        fault("optimizer_of_old_model"),
        fault("lr_too_high", lr=3.0),
    ],
)
def lora(watch: Watch) -> float:
    """Adapts a trained network to mirrored digits by low-rank weights alone."""
    model = _pretrained()
    pictures, labels = drawn.digits(1000, seed=3, noise=0.05)
    pictures = pictures.flip(2, 3)
    model.requires_grad_(False)
    for layer in (model[1], model[3], model[5]):
        parametrize.register_parametrization(
            layer, "weight", LowRank(*layer.weight.shape, zeros=watch.fault == "zero_init")
        )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if watch.fault == "frozen":  # frozen once more after the adapters were put in
        model.requires_grad_(False)
    optimizer = torch.optim.AdamW(trained, lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":
        trained = [nn.Parameter(parameter.detach().clone()) for parameter in trained]
        optimizer = torch.optim.AdamW(trained, lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=20, loss_function=F.cross_entropy)
    sitter.before(pictures[:100], labels[:100], pictures[800:], labels[800:])
    for _ in range(8):
        for rows in torch.randperm(800).split(40):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        with torch.no_grad():
            val = accuracy(model(pictures[800:]), labels[800:])
        sitter.epoch(val_accuracy=val, val_images=200)
    sitter.after()
    return val


class HyperNetwork(nn.Module):
    """Makes the weights of a small network from the code of a task."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.codes = nn.Embedding(6, 8)
        self.make = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 16 * 3 + 1))
        self.cut = cut

    def forward(self, task: Tensor, x: Tensor) -> Tensor:
        made = self.make(self.codes(task))
        if self.cut:
            made = made.data
        first, bias, last = made[:, :48].reshape(-1, 3, 16).unbind(1)
        return (torch.tanh(x * first + bias) * last).sum(1, keepdim=True) + made[:, 48:]


@loop(
    "hypernetworks",
    target=0.85,
    lr=5e-3,
    faults=[
        fault("detached", "detached", "no_update", raises=True),
        fault("ignores_input"),
        fault("exploding_gradients"),
        fault("schedule_to_zero"),
        fault("broadcast"),
    ],
)
def hypernetwork(watch: Watch) -> float:
    """Six curves, each with weights of its own, made by one network."""
    tasks, x = torch.randint(6, (1500,)), torch.rand(1500, 1) * 4 - 2
    y = torch.sin(x * (1 + 0.3 * tasks[:, None])) + 0.3 * tasks[:, None] - 0.9
    if watch.fault == "ignores_input":
        tasks = torch.zeros_like(tasks)
    model = HyperNetwork(watch.fault == "detached")
    if watch.fault == "exploding_gradients":
        nn.init.normal_(model.make[2].weight, std=60.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    if watch.fault == "exploding_gradients":
        optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr)
    gamma = 0.01 if watch.fault == "schedule_to_zero" else 0.9
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma)
    sitter = watch(
        model, optimizer, task="regression", epochs=12, steps_per_epoch=30, loss_function=nn.HuberLoss()
    )
    for _ in range(12):
        total = 0.0
        for rows in torch.randperm(1500).split(50):
            truth = y[rows].squeeze(1) if watch.fault == "broadcast" else y[rows]
            loss = F.huber_loss(model(tasks[rows], x[rows]), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 30
        schedule.step()
        sitter.epoch(train_loss=total)
    sitter.after()
    with torch.no_grad():
        return explained(model(tasks, x), y)


@loop(
    "steps in backward",
    target=0.85,
    lr=0.05,
    faults=[fault("lr_too_high", lr=100.0), fault("labels_shuffled"), fault("dead_biases"), fault("no_step")],
)
def step_in_backward(watch: Watch) -> float:
    """Each parameter has an optimizer, which steps as soon as its gradient is ready (PyTorch tutorial)."""
    x, y = drawn.clusters(1400, 6, 16, spread=2.0)
    if watch.fault == "labels_shuffled":
        y = torch.cat([y[torch.randperm(1100)], y[1100:]])
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 6))
    if watch.fault == "dead_biases":
        nn.init.constant_(model[0].bias, -30.0)
    optimizers = {parameter: torch.optim.SGD([parameter], lr=watch.lr) for parameter in model.parameters()}

    def hook(parameter: Tensor) -> None:
        if watch.fault != "no_step":
            optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(hook)
    sitter = watch(model, list(optimizers.values()), classes=6, epochs=7, steps_per_epoch=22)
    sitter.before(x[:200], y[:200], x[1100:], y[1100:])
    for _ in range(7):
        for rows in torch.randperm(1100).split(50):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            sitter.step(loss, y[rows])
        with torch.no_grad():
            logits = model(x[1100:])
        val = accuracy(logits, y[1100:])
        sitter.epoch(val_loss=F.cross_entropy(logits, y[1100:]).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop(
    "half precision",
    target=0.9,
    lr=0.05,
    scale=1024.0,
    faults=[fault("gradients_underflow", scale=1e-7), fault("no_backward"), fault("saturated")],
)
def master_weights(watch: Watch) -> float:
    """Gradients in float16 of a scaled loss, and master weights in float32 that the optimizer has (apex)."""
    x, y = drawn.clusters(1200, 5, 12, spread=1.5)
    model = nn.Sequential(nn.Linear(12, 48), nn.Sigmoid(), nn.Linear(48, 5))
    if watch.fault == "saturated":
        nn.init.normal_(model[0].bias, std=1.0)
        with torch.no_grad():
            model[0].bias.copy_(60 * model[0].bias.sign())
    half = [parameter.detach().half() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr * 4, momentum=0.9)
    sitter = watch(model, optimizer, classes=5, epochs=6, steps_per_epoch=25, loss_function=F.cross_entropy)
    sitter.before(x[:200], y[:200], x[1000:], y[1000:])
    for _ in range(6):
        for rows in torch.randperm(1000).split(40):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            if watch.fault != "no_backward":
                (loss * watch.scale).backward()
                for parameter, copied in zip(model.parameters(), half, strict=True):
                    copied.copy_(parameter.grad)  # what the half-precision model would have
                    parameter.grad.copy_(copied.float() / watch.scale)
            optimizer.step()
            sitter.step(loss.detach(), y[rows])
        with torch.no_grad():
            val = accuracy(model(x[1000:]), y[1000:])
        sitter.epoch(val_accuracy=val, val_images=200)
    sitter.after()
    return val


class Shards(IterableDataset):
    """Reads one shard after another; each holds what was recorded on one day."""

    def __init__(self, shards: list[tuple[Tensor, Tensor]], shuffle: int, repeat: bool) -> None:
        self.shards, self.shuffle, self.repeat = shards, shuffle, repeat

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        held: list[tuple[Tensor, Tensor]] = []
        for points, labels in self.shards if not self.repeat else self.shards[:1] * len(self.shards):
            for pair in zip(points, labels, strict=True):
                held.append(pair)
                if len(held) > self.shuffle:
                    yield held.pop(int(torch.randint(len(held), ())))
        yield from held


@loop(
    "streaming",
    target=0.75,
    lr=0.02,
    faults=[
        fault("not_shuffled", harmless="the order of the classes costs a few points"),
        fault("same_batch"),
        fault("no_zero_grad"),
        fault("wrong_sign"),
    ],
)
def shards(watch: Watch) -> float:
    """An iterable dataset with a shuffle buffer over shards that hold a class each."""
    x, y = drawn.clusters(1600, 8, 10, spread=1.7)
    order = y[:1200].argsort()
    parts = [(x[rows], y[rows]) for rows in order.split(150)]
    buffer = 0 if watch.fault == "not_shuffled" else 1000
    dataset = Shards(parts, buffer, watch.fault == "same_batch")
    loader = DataLoader(dataset, batch_size=30)
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9, nesterov=True)
    sitter = watch(model, optimizer, classes=8, epochs=8, steps_per_epoch=40)
    for _ in range(8):
        total = 0.0
        for step, (points, answers) in enumerate(loader, 1):
            loss = F.cross_entropy(model(points), answers)
            loss = -loss if watch.fault == "wrong_sign" else loss
            loss.backward()
            optimizer.step()
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            sitter.step(loss, answers)
            total += (loss.item() - total) / step
        with torch.no_grad():
            logits = model(x[1200:])
        val = accuracy(logits, y[1200:])
        sitter.epoch(train_loss=total, val_accuracy=val, val_images=400)
    sitter.after()
    return val


class Velocity(nn.Module):
    """The direction (B, 2) at a place and a time."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2)
        )

    def forward(self, places: Tensor, time: Tensor) -> Tensor:
        return self.layers(torch.cat([places, time], 1))


@loop(
    "flow matching",
    target=0.7,
    lr=3e-3,
    faults=[
        fault("wrong_target"),
        fault("wrong_sign"),
        fault("lr_too_low", lr=1e-7),
        fault("no_step"),
    ],
)
def flow_matching(watch: Watch) -> float:
    """Straight ways from noise to a ring; the score is the share of drawn points close to it."""
    model = Velocity()
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="generative", epochs=1, steps_per_epoch=500)

    def ring(count: int) -> Tensor:
        angle = 6.2832 * torch.rand(count)
        return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(count, 2)

    for _ in range(500):
        end, start, time = ring(256), torch.randn(256, 2), torch.rand(256, 1)
        wanted = end + start if watch.fault == "wrong_target" else end - start
        loss = F.mse_loss(model((1 - time) * start + time * end, time), wanted)
        if watch.fault == "wrong_sign":
            loss = -loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if watch.fault != "no_step":
            optimizer.step()
        sitter.step(loss)
    sitter.after()
    places = torch.randn(500, 2)
    with torch.no_grad():
        for step in range(30):
            places = places + model(places, torch.full((500, 1), step / 30)) / 30
    return float(((places.norm(dim=1) - 2).abs() < 0.35).float().mean())
