"""Models of science: differential equations, inverse problems, Gaussian processes, densities."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs.program import fault, loop
from loop_programs.scores import explained
from loop_programs.watch import Watch


def _spiral(count: int) -> Tensor:
    """Return a spiral (count, 2) that falls to the center, sampled every 0.1."""
    time = 0.1 * torch.arange(count)
    radius = 2 * torch.exp(-0.1 * time)
    return torch.stack([radius * torch.cos(1.5 * time), radius * torch.sin(1.5 * time)], 1)


@loop(
    "differential equations",
    target=0.9,
    lr=5e-3,
    faults=[
        fault("lr_too_high", lr=3.0),
        fault("detached"),
        fault("lr_too_low", lr=1e-8),
        fault("not_in_optimizer"),
    ],
)
def neural_ode(watch: Watch) -> float:
    """A network for the derivative, integrated by Runge and Kutta's steps (torchdiffeq's demo)."""
    path = _spiral(100)
    model = nn.Sequential(nn.Linear(2, 48), nn.Tanh(), nn.Linear(48, 2))
    trained = model[2:] if watch.fault == "not_in_optimizer" else model
    if watch.fault == "not_in_optimizer":
        nn.init.normal_(model[0].weight, std=0.01)
    optimizer = torch.optim.RMSprop(trained.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=1, steps_per_epoch=200)

    def follow(state: Tensor, steps: int) -> Tensor:
        states = []
        for _ in range(steps):
            k1 = model(state)
            k2 = model(state + 0.05 * k1)
            k3 = model(state + 0.05 * k2)
            k4 = model(state + 0.1 * k3)
            state = state + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            if watch.fault == "detached":
                state = torch.tensor(state.tolist(), requires_grad=True)
            states.append(state)
        return torch.stack(states)

    for _ in range(200):
        starts = torch.randint(90, (40,))
        wanted = torch.stack([path[starts + 1 + ahead] for ahead in range(6)])
        optimizer.zero_grad()
        loss = (follow(path[starts], 6) - wanted).abs().mean()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    with torch.no_grad():
        return explained(follow(path[:90], 6)[-1] - path[:90], path[6:96] - path[:90])


class Sine(nn.Module):
    """A layer of SIREN."""

    def __init__(self, inputs: int, outputs: int, omega: float = 15.0, first: bool = False) -> None:
        super().__init__()
        self.linear, self.omega = nn.Linear(inputs, outputs), omega
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, points: Tensor) -> Tensor:
        return torch.sin(self.omega * self.linear(points))


@loop(
    "implicit pictures",
    target=0.9,
    lr=1e-3,
    faults=[fault("large_init"), fault("not_scaled"), fault("lr_too_low", lr=1e-8)],
)
def siren(watch: Watch) -> float:
    """Coordinates to gray values of one picture; the pixels left out are the test."""
    side = torch.linspace(-1, 1, 40)
    rows, columns = torch.meshgrid(side, side, indexing="ij")
    picture = (torch.sin(4 * rows) * torch.cos(5 * columns) + (rows * columns > 0.2) * 0.5).flatten()[:, None]
    points = torch.stack([rows, columns], -1).reshape(-1, 2)
    if watch.fault == "not_scaled":  # positions in pixels
        points = (points + 1) * 200
    held = torch.rand(1600, generator=torch.Generator().manual_seed(5)) < 0.2
    model = nn.Sequential(Sine(2, 64, first=True), Sine(64, 64), nn.Linear(64, 1))
    if watch.fault == "large_init":
        for layer in (model[0].linear, model[1].linear):
            nn.init.normal_(layer.weight, std=1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=150, steps_per_epoch=1, loss_function=nn.MSELoss())
    sitter.before(points[~held], picture[~held], points[held], picture[held])
    for _ in range(150):
        loss = F.mse_loss(model(points[~held]), picture[~held])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
        with torch.no_grad():
            guessed = model(points[held])
        sitter.epoch(train_loss=loss.item(), val_loss=F.mse_loss(guessed, picture[held]).item())
    sitter.after()
    return explained(guessed, picture[held])


class Oscillator(nn.Module):
    """Mass, spring and friction; the parameters are numbers with a meaning."""

    def __init__(self) -> None:
        super().__init__()
        self.stiffness = nn.Parameter(torch.tensor(2.0))
        self.friction = nn.Parameter(torch.tensor(0.1))

    def forward(self, start: Tensor) -> Tensor:
        place, speed, seen = start, torch.zeros_like(start), []
        for _ in range(60):
            speed = speed - 0.1 * (self.stiffness * place + self.friction * speed)
            place = place + 0.1 * speed
            seen.append(place)
        return torch.stack(seen, 1)


@loop(
    "inverse problems",
    target=0.95,
    lr=0.05,
    momentum=0.8,
    faults=[
        fault("frozen"),
        fault("lr_too_high", lr=30.0),
        fault("momentum_too_high", momentum=0.9999),
        fault("lr_too_low", lr=1e-7),
        fault("wrong_sign"),
    ],
)
def simulator_fit(watch: Watch) -> float:
    """Finds stiffness and friction of a simulated spring from noisy measurements."""
    truth = Oscillator()
    with torch.no_grad():
        truth.stiffness.fill_(3.2)
        truth.friction.fill_(0.5)
        start = torch.linspace(-2, 2, 20)
        measured = truth(start) + 0.05 * torch.randn(20, 60)
    model = Oscillator()
    model.requires_grad_(watch.fault != "frozen")
    if watch.fault == "frozen":
        model.friction.requires_grad_()
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=watch.momentum)
    sitter = watch(model, optimizer, task="regression", epochs=1, steps_per_epoch=120)
    for _ in range(120):
        optimizer.zero_grad()
        loss = ((model(start) - measured) ** 2).mean()
        if watch.fault == "wrong_sign":
            loss = -loss
        loss.backward()
        optimizer.step()
        sitter.step(loss.item())
    sitter.after()
    error = (model.stiffness - 3.2).abs() / 3.2 + (model.friction - 0.5).abs() / 0.5
    return 1 - float(error) / 2


class GaussianProcess(nn.Module):
    """A kernel with length, size and noise; `forward` returns the negative log marginal likelihood."""

    def __init__(self) -> None:
        super().__init__()
        self.logs = nn.Parameter(torch.tensor([-3.5, 0.0, -1.0]))

    def kernel(self, left: Tensor, right: Tensor) -> Tensor:
        length, size, _ = self.logs.exp()
        return size * torch.exp(-0.5 * ((left[:, None] - right[None, :]) / length) ** 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        factor = torch.linalg.cholesky(self.kernel(x, x) + (self.logs[2].exp() + 1e-4) * torch.eye(len(x)))
        weights = torch.cholesky_solve(y[:, None], factor)
        return 0.5 * (y @ weights).squeeze() + factor.diagonal().log().sum()

    @torch.no_grad()
    def predict(self, x: Tensor, y: Tensor, wanted: Tensor) -> Tensor:
        covariance = self.kernel(x, x) + (self.logs[2].exp() + 1e-4) * torch.eye(len(x))
        return self.kernel(wanted, x) @ torch.linalg.solve(covariance, y)


@loop(
    "Gaussian processes",
    target=0.9,
    lr=0.1,
    faults=[fault("lr_too_low", lr=1e-6), fault("no_step"), fault("labels_shuffled")],
)
def gaussian_process(watch: Watch) -> float:
    """Exact GP regression: the kernel's parameters by the marginal likelihood (GPyTorch's first example)."""
    x = 10 * torch.rand(120)
    y = torch.sin(3 * x) + 0.2 * torch.randn(120)
    if watch.fault == "labels_shuffled":
        y = y[torch.randperm(120)]
    model = GaussianProcess()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=80, steps_per_epoch=1, forward=lambda gp, batch: gp(*batch))
    for _ in range(80):
        optimizer.zero_grad()
        loss = model(x, y)
        loss.backward()
        if watch.fault != "no_step":
            optimizer.step()
        sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    wanted = torch.linspace(0.5, 9.5, 200)
    return explained(model.predict(x, y, wanted), torch.sin(3 * wanted))


class MixtureDensity(nn.Module):
    """Log weights, means and log deviations of five normals (B, 5) for each x (B, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(1, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(48, 5) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.hidden(x)
        weights, means, logs = (head(hidden) for head in self.heads)
        return weights.log_softmax(1), means, logs


@loop(
    "mixture densities",
    target=0.6,
    lr=5e-3,
    faults=[
        fault("wrong_sign"),
        fault("broadcast"),
        fault("no_step"),
        fault("frozen"),
        fault("nan_at_first"),
    ],
)
def mixture_density(watch: Watch) -> float:
    """A relation with several answers for one question (Bishop's inverse sine)."""
    y = torch.rand(1200, 1) * 2 - 1
    x = y + 0.3 * torch.sin(2 * math.pi * y) + 0.05 * torch.randn(1200, 1)
    model = MixtureDensity()
    if watch.fault == "frozen":
        model.hidden.requires_grad_(False)
        model.heads[1].requires_grad_(False)
    optimizer = torch.optim.NAdam((p for p in model.parameters() if p.requires_grad), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=12, steps_per_epoch=24)

    def log_density(x: Tensor, y: Tensor) -> Tensor:
        weights, means, logs = model(x)
        if watch.fault == "nan_at_first":  # the log of a deviation that may be negative
            logs = logs.log()
        if watch.fault == "broadcast":
            y = y[None, :, 0, None]
            weights, means, logs = weights[:, None], means[:, None], logs[:, None]
        normal = -0.5 * ((y - means) / logs.exp()) ** 2 - logs - 0.919
        return torch.logsumexp(weights + normal, -1)

    for _ in range(12):
        total = 0.0
        for rows in torch.randperm(1200).split(50):
            loss = log_density(x[rows], y[rows]).mean() * (1 if watch.fault == "wrong_sign" else -1)
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss)
            total += loss.item() / 24
        sitter.epoch(train_loss=total)
    sitter.after()
    with torch.no_grad():
        reached = log_density(x, y).mean()
    return float(reached + 0.7)  # a uniform density has -0.69
