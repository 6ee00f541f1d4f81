"""Tables, curves and equations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


@loop(
    "regression",
    target=0.8,
    lr=0.01,
    faults=[
        fault("broadcast"),
        fault("not_scaled", "lr_too_high"),
        fault("lr_too_low", lr=1e-6),
        fault("no_zero_grad"),
        fault("not_a_scalar", raises=True),
        fault("gradients_in_validation", harmless="the graph of each validation is kept"),
    ],
)
def house_prices(watch: Watch) -> float:
    """An MLP for prices, standardized."""
    x, y = drawn.houses(1500)
    val_x, val_y = drawn.houses(300, seed=1)
    mean, std = x.mean(0), x.std(0)
    if watch.fault != "not_scaled":
        x, val_x = (x - mean) / std, (val_x - mean) / std
    y, val_y = (y - 200) / 100, (val_y - 200) / 100
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    if watch.fault == "not_scaled":
        optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.MSELoss(reduction="none" if watch.fault == "not_a_scalar" else "mean")
    sitter = watch(
        model, optimizer, task="regression", epochs=10, steps_per_epoch=30, loss_function=criterion
    )
    sitter.before(x[:200], y[:200], val_x[:200], val_y[:200])
    total_val = torch.tensor(0.0)
    for _ in range(10):
        model.train()
        total = 0.0
        for rows in batches(1500, 50):
            truth = y[rows].squeeze(1) if watch.fault == "broadcast" else y[rows]
            loss = criterion(model(x[rows]), truth)
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, truth)
            total += loss.item()
        model.eval()
        if watch.fault == "gradients_in_validation":
            for part, answers in zip(val_x.split(50), val_y.split(50), strict=True):
                total_val = total_val + criterion(model(part), answers)
            val = criterion(model(val_x), val_y)
        else:
            with torch.no_grad():
                val = criterion(model(val_x), val_y)
        sitter.epoch(train_loss=total / 30, val_loss=val.mean().item())
    sitter.after()
    return explained(model(val_x), val_y)


@loop(
    "regression",
    target=0.8,
    lr=3e-3,
    faults=[fault("scaled_to_nothing"), fault("zero_init"), fault("targets_overwritten")],
)
def tiny_targets(watch: Watch) -> float:
    """Targets in hundredths: the loss is below a thousandth from the start, and sound."""
    x = torch.randn(1200, 6)
    y = 0.02 * (x[:, :1] + x[:, 1:2] * x[:, 2:3])
    if watch.fault == "scaled_to_nothing":
        x = x * 1e-7
    model = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 1))
    if watch.fault == "zero_init":
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    truth = y.clone()
    sitter = watch(model, optimizer, task="regression", epochs=40, steps_per_epoch=20)
    sitter.before(x[:60], y[:60])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
    for _ in range(40):
        for rows in torch.arange(1200).split(60):
            part = y[rows[0] : rows[-1] + 1]
            loss = F.mse_loss(model(x[rows]), part)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if watch.fault == "targets_overwritten":
                part -= part.mean() + 0.5 * part  # meant for a plot: changes the data in place
            sitter.step(loss)
        schedule.step()
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    return explained(model(x), truth)


@loop(
    "multilabel",
    target=0.6,
    lr=5e-3,
    faults=[
        fault("sigmoid_twice"),
        fault("wrong_axis", "softmax_twice"),
        fault("labels_shuffled"),
        fault("no_backward"),
    ],
)
def tags(watch: Watch) -> float:
    """Eight labels at once by BCEWithLogitsLoss; labels (B, 8) as floats."""
    directions = torch.randn(10, 8)
    x = torch.randn(1500, 10)
    y = (x @ directions > 1.5).float()
    truth = y
    if watch.fault == "labels_shuffled":
        y = y[torch.randperm(1500)]
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 8))
    if watch.fault == "sigmoid_twice":
        model.append(nn.Sigmoid())
    if watch.fault == "wrong_axis":
        model.append(nn.Softmax(dim=1))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.BCEWithLogitsLoss()
    sitter = watch(model, optimizer, task="multilabel", epochs=6, steps_per_epoch=30, loss_function=criterion)
    sitter.before(x[:150], y[:150])
    for _ in range(6):
        losses = []
        for rows in batches(1500, 50):
            optimizer.zero_grad()
            loss = criterion(model(x[rows]), y[rows])
            if watch.fault != "no_backward":
                loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
            losses.append(loss.item())
        sitter.epoch(train_loss=sum(losses) / 30)
    sitter.after()
    return 1 - criterion(model(x), truth).item() / 0.5


@loop(
    "regression",
    target=0.8,
    lr=5e-3,
    faults=[
        fault("nan_at_first", harmless="the loss is not a number; its gradients are finite by luck"),
        fault("wrong_sign"),
        fault("lr_too_high", lr=3.0),
    ],
)
def gaussian_nll(watch: Watch) -> float:
    """Mean and variance by the likelihood of a normal distribution; the loss falls below zero."""
    x = torch.rand(2000, 1) * 6 - 3
    y = torch.sin(x) + (0.02 + 0.1 * x.abs()) * torch.randn(2000, 1)
    model = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    if watch.fault == "nan_at_first":
        nn.init.constant_(model[4].bias, -0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=12, steps_per_epoch=25)
    for _ in range(12):
        total = 0.0
        for rows in batches(2000, 80):
            out = model(x[rows])
            if watch.fault == "nan_at_first":  # the logarithm of what may be negative
                loss = (0.5 * torch.log(out[:, 1:]) + (out[:, :1] - y[rows]) ** 2 / (2 * out[:, 1:])).mean()
            else:
                loss = F.gaussian_nll_loss(out[:, :1], y[rows], F.softplus(out[:, 1:]) + 1e-4)
            if watch.fault == "wrong_sign":
                loss = -loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
            total += loss.item()
        sitter.epoch(train_loss=total / 25)
    sitter.after()
    return explained(model(x)[:, :1], torch.sin(x))


@loop("regression", target=0.8, lr=0.01, faults=[fault("not_in_optimizer"), fault("lr_too_high", lr=10.0)])
def counts(watch: Watch) -> float:
    """Counts by the Poisson likelihood, with an L2 penalty written into the loss."""
    x = torch.randn(1500, 5)
    rate = torch.exp(0.8 * x[:, 0] - 0.6 * x[:, 1] + 0.5)
    y = torch.poisson(rate)
    model = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
    trained = [model[2].bias] if watch.fault == "not_in_optimizer" else list(model.parameters())
    optimizer = torch.optim.Adam(trained, lr=watch.lr)
    sitter = watch(model, optimizer, epochs=10, steps_per_epoch=30)
    sitter.before(x[:50], y[:50])
    for _ in range(10):
        for rows in batches(1500, 50):
            loss = F.poisson_nll_loss(model(x[rows]), y[rows])
            loss = loss + 1e-4 * sum((parameter**2).sum() for parameter in model.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    return explained(model(x), rate.log())


class Sines(nn.Module):
    """pytorch/examples time_sequence_prediction, smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.linear = nn.LSTM(1, 32, 2, batch_first=True), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.lstm(x)[0])


@loop(
    "time series",
    target=0.9,
    lr=0.8,
    faults=[fault("no_zero_grad"), fault("detached"), fault("wrong_target")],
)
def sine_lbfgs(watch: Watch) -> float:
    """LBFGS with a closure: few steps of many evaluations."""
    t = torch.arange(40.0)
    waves = torch.stack([torch.sin((t + shift) / 5) for shift in range(0, 60, 5)])[..., None]
    inputs, targets = waves[:, :-1], waves[:, 1:]
    if watch.fault == "wrong_target":
        targets = targets[torch.randperm(len(targets))]
    model = Sines()
    if watch.fault == "detached":
        with torch.no_grad():
            model.lstm.weight_ih_l0.mul_(0.01)
            model.lstm.weight_ih_l1.mul_(0.01)
        model.linear.register_forward_pre_hook(lambda module, given: (given[0].detach(),))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=watch.lr)
    criterion = nn.MSELoss()
    sitter = watch(model, optimizer, task="regression", epochs=8, steps_per_epoch=1, loss_function=criterion)

    def closure() -> Tensor:
        if watch.fault != "no_zero_grad":
            optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        return loss

    for _ in range(8):
        loss = optimizer.step(closure)
        sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    return explained(model(inputs), waves[:, 1:])


@loop(
    "equations",
    target=0.9,
    lr=5e-3,
    faults=[fault("detached"), fault("wrong_sign"), fault("lr_too_low", lr=1e-7)],
)
def physics_informed(watch: Watch) -> float:
    """Solves u'' = -u, u(0) = 0, u'(0) = 1 by a network whose derivatives are in the loss."""
    model = nn.Sequential(nn.Linear(1, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, steps_per_epoch=600)
    zero = torch.zeros(1, 1, requires_grad=True)
    for _ in range(600):
        x = (3 * torch.rand(64, 1)).requires_grad_()
        u = model(x)
        first = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        second = torch.autograd.grad(first.sum(), x, create_graph=True)[0]
        start = model(zero)
        slope = torch.autograd.grad(start.sum(), zero, create_graph=True)[0]
        residual = second + u
        if watch.fault == "detached":
            residual, slope = residual.detach(), slope.detach()
        equation = (residual**2).mean()
        loss = (
            (start**2).sum()
            + ((slope - 1) ** 2).sum()
            + (-equation if watch.fault == "wrong_sign" else equation)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    places = torch.linspace(0, 3, 100)[:, None]
    return explained(model(places), torch.sin(places))


@loop(
    "plateau",
    target=0.8,
    lr=0.1,
    faults=[fault("labels_shuffled"), fault("weight_decay_too_high", weight_decay=1.0)],
    weight_decay=1e-3,
)
def parity(watch: Watch) -> float:
    """The parity of three of twelve bits: nothing is learned for a long time, then all."""
    x = torch.randint(2, (4000, 12)).float() * 2 - 1
    y = (x[:, :3].prod(1) > 0).long()
    val_x, val_y = x[3500:], y[3500:]
    if watch.fault == "labels_shuffled":
        y = y[torch.randperm(4000)]
    model = nn.Sequential(nn.Linear(12, 128), nn.ReLU(), nn.Linear(128, 2))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=watch.lr, momentum=0.9, weight_decay=watch.weight_decay
    )
    sitter = watch(model, optimizer, classes=2, epochs=20, steps_per_epoch=70, loss_function=F.cross_entropy)
    sitter.before(x[:200], y[:200], val_x[:200], val_y[:200])
    for _ in range(20):
        for rows in batches(3500, 50):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
        with torch.no_grad():
            logits = model(val_x)
        val = accuracy(logits, val_y)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_y).item(), val_accuracy=val, val_images=500)
    sitter.after()
    return val


@loop(
    "time series",
    target=0.6,
    lr=3e-3,
    faults=[
        fault("broadcast"),
        fault("not_scaled", "lr_too_high"),
        fault("same_batch"),
        fault("validation_differs"),
        fault("label_leak", harmless="the last number of a window is the one to predict"),
    ],
)
def forecasting(watch: Watch) -> float:
    """The next value from a window of 24, by dilated convolutions; two weeks are held out."""
    t = torch.arange(1500.0)
    series = torch.sin(t * 6.2832 / 24) + 0.5 * torch.sin(t * 6.2832 / 168) + 0.2 * torch.randn(1500)
    if watch.fault == "not_scaled":
        series = 1e4 * series + 1e6
    windows = series.unfold(0, 25, 1)
    x, y = windows[:, None, :24], windows[:, 24:]
    if watch.fault == "label_leak":
        x = windows[:, None, 1:]
    if watch.fault == "not_scaled":
        y = (y - 1e6) / 1e4
    x, y, val_x, val_y = x[:1200], y[:1200], x[1200:], y[1200:]
    if watch.fault == "validation_differs":
        val_x = 5 * val_x + 10
    model = nn.Sequential(
        nn.Conv1d(1, 16, 3, dilation=1), nn.ReLU(), nn.Conv1d(16, 16, 3, dilation=2), nn.ReLU(),
        nn.Conv1d(16, 16, 3, dilation=4), nn.ReLU(), nn.Flatten(), nn.Linear(160, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    if watch.fault == "not_scaled":
        optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr)
    sitter = watch(
        model, optimizer, task="regression", epochs=8, steps_per_epoch=24, loss_function=F.mse_loss
    )
    sitter.before(x[:100], y[:100], val_x[:100], val_y[:100])
    first = torch.arange(8)
    for _ in range(8):
        model.train()
        total = 0.0
        for batch in batches(1200, 50):
            rows = first if watch.fault == "same_batch" else batch
            loss = F.mse_loss(model(x[rows]), y[rows, 0] if watch.fault == "broadcast" else y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 24
        model.eval()
        with torch.no_grad():
            found = model(val_x)
        sitter.epoch(train_loss=total, val_loss=F.mse_loss(found, val_y).item())
    sitter.after()
    return explained(found, val_y) if math.isfinite(total) else -1.0
