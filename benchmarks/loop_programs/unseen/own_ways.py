"""Own functions, own trainers, own updates: what is written by hand around a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class Sign(torch.autograd.Function):
    """The sign forwards, the straight-through estimator backwards; ``scale`` 0 has no estimator."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x.sign()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return ctx.scale * grad * (x.abs() <= 1), None


class BinaryLinear(nn.Linear):
    """Weights and inputs of -1 and 1."""

    scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(Sign.apply(x, self.scale), Sign.apply(self.weight, self.scale), self.bias) / 8


@loop(
    "binary networks",
    target=0.7,
    lr=0.01,
    faults=[fault("own_gradient"), fault("labels_shuffled"), fault("lr_too_low", lr=1e-8)],
)
def binarized(watch: Watch) -> float:
    """XNOR style: latent weights are trained through a custom Function."""
    x, y = drawn.clusters(1500, 6, 24, spread=2.2)
    if watch.fault == "labels_shuffled":
        y = torch.cat([y[torch.randperm(1200)], y[1200:]])
    net = nn.Sequential(
        nn.Linear(24, 64), nn.BatchNorm1d(64), BinaryLinear(64, 64), nn.BatchNorm1d(64), BinaryLinear(64, 6)
    )
    if watch.fault == "own_gradient":  # minus forgotten in backward
        for layer in (net[2], net[4]):
            layer.scale = -1.0
    optimizer = torch.optim.Adam(net.parameters(), lr=watch.lr)
    sitter = watch(net, optimizer, classes=6, epochs=8, steps_per_epoch=24)
    sitter.before(x[:200], y[:200], x[1200:], y[1200:])
    for _ in range(8):
        net.train()
        for rows in torch.randperm(1200).split(50):
            loss = F.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for layer in (net[2], net[4]):
                    layer.weight.clamp_(-1, 1)
            sitter.step(loss, y[rows])
        net.eval()
        with torch.no_grad():
            logits = net(x[1200:])
        val = accuracy(logits, y[1200:])
        sitter.epoch(val_loss=F.cross_entropy(logits, y[1200:]).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


class SoftRank(torch.autograd.Function):
    """A smooth rectifier with a gradient of its own (Swish, to save memory)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, wrong: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.wrong = wrong
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        s = x.sigmoid()
        if ctx.wrong:  # the rule of the product taken for another one
            return -grad * s * (1 - s) * (2 + x.abs()), None
        return grad * (s + x * s * (1 - s)), None


class Swish(nn.Module):
    """Applies the Function."""

    def __init__(self, wrong: bool = False) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, x: Tensor) -> Tensor:
        return SoftRank.apply(x, self.wrong)


@loop("own functions", target=0.8, lr=0.01, faults=[fault("own_gradient"), fault("exploding_gradients")])
def memory_swish(watch: Watch) -> float:
    """An activation with a backward by hand in a network of five layers, plain SGD."""
    x = torch.rand(1500, 3) * 4 - 2
    y = (torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:]) / 1.5
    wrong = watch.fault == "own_gradient"
    layers: list[nn.Module] = []
    for a, b in ((3, 48), (48, 48), (48, 48), (48, 48)):
        layers += [nn.Linear(a, b), Swish(wrong)]
    net = nn.Sequential(*layers, nn.Linear(48, 1))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            if watch.fault == "exploding_gradients":
                nn.init.normal_(layer.weight, std=1.2)
    optimizer = torch.optim.SGD(net.parameters(), lr=watch.lr, momentum=0.9)
    sitter = watch(net, optimizer, task="regression", epochs=20, steps_per_epoch=30)
    sitter.before(x[:200], y[:200], x[1200:], y[1200:])
    for _ in range(20):
        for rows in torch.randperm(1200).split(40):
            loss = F.mse_loss(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            found = net(x[1200:])
        sitter.epoch(train_loss=loss.item(), val_loss=F.mse_loss(found, y[1200:]).item())
    sitter.after()
    return explained(found, y[1200:])


class Reverse(torch.autograd.Function):
    """Turns the gradient around (domain-adversarial training)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -grad


class DANN(nn.Module):
    """Class logits and domain logits."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(10, 48), nn.ReLU(), nn.Linear(48, 24))
        self.label_head, self.domain_head = nn.Linear(24, 4), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.features(x)
        return self.label_head(h), self.domain_head(Reverse.apply(h))


@loop(
    "domains",
    target=0.75,
    lr=3e-3,
    faults=[fault("validation_differs"), fault("labels_shuffled"), fault("frozen"), fault("no_backward")],
)
def domain_adversarial(watch: Watch) -> float:
    """Labels of one domain, examples of two; the reversed gradient is a Function."""
    x, y = drawn.clusters(1800, 4, 10, spread=1.3)
    moved = x + 0.4
    if watch.fault == "validation_differs":  # the other sensor was mounted upside down
        moved = -x
    if watch.fault == "labels_shuffled":
        y = torch.cat([y[torch.randperm(800)], y[800:]])
    model = DANN()
    if watch.fault == "frozen":
        model.features.requires_grad_(False)
        for weight in model.features.parameters():
            nn.init.normal_(weight, std=0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=8, steps_per_epoch=20, classes=4)
    sitter.before(x[:200], y[:200], moved[1600:], y[1600:])
    for _ in range(8):
        for rows in torch.randperm(800).split(40):
            logits, source = model(x[rows])
            _, other = model(moved[800 + rows])
            where = torch.cat([torch.zeros(40), torch.ones(40)]).long()
            loss = F.cross_entropy(logits, y[rows]) + 0.1 * F.cross_entropy(torch.cat([source, other]), where)
            optimizer.zero_grad()
            if watch.fault != "no_backward":
                loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
        with torch.no_grad():
            logits = model(moved[1600:])[0]
        val = accuracy(logits, y[1600:])
        sitter.epoch(val_loss=F.cross_entropy(logits, y[1600:]).item(), val_accuracy=val, val_images=200)
    sitter.after()
    return val


class LitModel(nn.Module):
    """A module in the style of Lightning."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        hidden = nn.Linear(20, 64)
        self.net = nn.Sequential(hidden, nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 7))
        self.watch = watch

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        return {"loss": loss.detach() if self.watch.fault == "detached" else loss}

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.watch.lr, momentum=0.9)
        mode = "max" if self.watch.fault == "schedule_to_zero" else "min"  # for a loss
        patience = 0 if self.watch.fault == "schedule_to_zero" else 2
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.01, patience=patience)
        return optimizer, plateau


class Trainer:
    """What Lightning does, in thirty lines."""

    def __init__(self, max_epochs: int, sitter_of: Callable[..., Any]) -> None:
        self.max_epochs, self.sitter_of, self.val = max_epochs, sitter_of, 0.0

    def fit(self, model: LitModel, train: list[tuple[Tensor, Tensor]], val: tuple[Tensor, Tensor]) -> None:
        optimizer, scheduler = model.configure_optimizers()
        sitter = self.sitter_of(
            model, optimizer, classes=7, epochs=self.max_epochs, steps_per_epoch=len(train)
        )
        for _ in range(self.max_epochs):
            model.train()
            for batch in train:
                step = model.training_step(batch)
                optimizer.zero_grad()
                if step["loss"].requires_grad:
                    step["loss"].backward()
                optimizer.step()
                sitter.step(step["loss"], batch[1])
            model.eval()
            with torch.no_grad():
                logits = model(val[0])
            held = F.cross_entropy(logits, val[1]).item()
            scheduler.step(held)
            self.val = accuracy(logits, val[1])
            sitter.epoch(val_loss=held, val_accuracy=self.val, val_images=len(val[1]))
        sitter.after()


@loop(
    "own trainers",
    target=0.72,
    lr=5e-4,
    faults=[fault("detached"), fault("schedule_to_zero"), fault("lr_too_high", lr=50.0)],
)
def mini_lightning(watch: Watch) -> float:
    """A trainer class with hooks; the learning rate falls when the validation loss stands still."""
    x, y = drawn.clusters(1700, 7, 20, spread=2.4)
    batches = [(x[rows], y[rows]) for rows in torch.randperm(1400).split(35)]
    trainer = Trainer(6, watch)
    trainer.fit(LitModel(watch), batches, (x[1400:], y[1400:]))
    return trainer.val


@loop(
    "functions without modules",
    target=0.8,
    lr=0.3,
    faults=[fault("wrong_sign"), fault("no_step"), fault("zero_init")],
)
def functional(watch: Watch) -> float:
    """torch.func: gradients of a function of a dictionary of parameters, updated as in JAX."""
    x, y = drawn.moons(900)
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2))
    if watch.fault == "zero_init":
        for weight in net.parameters():
            nn.init.zeros_(weight)
    params = dict(net.named_parameters())

    def compute_loss(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(net, params, (x,)), y)

    sitter = watch(net, None, classes=2, epochs=12, steps_per_epoch=24)
    grad = torch.func.grad_and_value(compute_loss)
    for _ in range(12):
        for rows in torch.randperm(720).split(30):
            grads, loss = grad(params, x[rows], y[rows])
            rate = -watch.lr if watch.fault == "wrong_sign" else watch.lr
            with torch.no_grad():
                for name, value in params.items():
                    if watch.fault == "no_step":
                        value = value - rate * grads[name]  # a new tensor that nothing refers to
                    else:
                        value -= rate * grads[name]
            sitter.step(loss, y[rows])
        with torch.no_grad():
            logits = net(x[720:])
        val = accuracy(logits, y[720:])
        sitter.epoch(val_loss=F.cross_entropy(logits, y[720:]).item(), val_accuracy=val, val_images=180)
    sitter.after()
    return 2 * val - 1


@loop(
    "several tasks",
    target=0.8,
    lr=5e-3,
    faults=[fault("targets_overwritten"), fault("not_in_optimizer"), fault("same_batch"), fault("broadcast")],
)
def uncertainty_weights(watch: Watch) -> float:
    """A class and a number of each row; the weights of the losses are learned (Kendall)."""
    x, kinds = drawn.clusters(1400, 5, 12, spread=1.5)
    values = torch.tanh(x[:, :1] - x[:, 1:2]) + 0.3 * kinds[:, None]
    values = (values - values.mean()) / values.std()
    truth = values.clone()
    trunk = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
    heads = nn.ModuleDict({"kind": nn.Linear(32, 5), "value": nn.Linear(32, 1)})
    model = nn.ModuleDict({"trunk": trunk, "heads": heads})
    log_vars = nn.Parameter(torch.zeros(2))
    if watch.fault == "not_in_optimizer":
        groups = [{"params": heads["kind"].parameters()}, {"params": [log_vars]}]
    else:
        groups = [{"params": model.parameters()}, {"params": [log_vars], "lr": watch.lr / 5}]
    optimizer = torch.optim.Adam(groups, lr=watch.lr)
    sitter = watch(model, optimizer, epochs=10, steps_per_epoch=22)
    for _ in range(10):
        for rows in torch.randperm(1100).split(50):
            if watch.fault == "same_batch":
                rows = torch.arange(8)
            h = trunk(x[rows])
            if watch.fault == "targets_overwritten":  # normalized in place, batch by batch, again and again
                values[rows] = (values[rows] - 2) * 1.5
            wanted = values[rows].squeeze(1) if watch.fault == "broadcast" else values[rows]
            losses = torch.stack([
                F.cross_entropy(heads["kind"](h), kinds[rows]), F.mse_loss(heads["value"](h), wanted)
            ])  # fmt: skip
            loss = (losses * torch.exp(-log_vars) + log_vars).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            h = trunk(x[1100:])
            right = accuracy(heads["kind"](h), kinds[1100:])
            fit = explained(heads["value"](h), truth[1100:])
        sitter.epoch(train_loss=loss.item(), val_accuracy=right, val_images=300)
    sitter.after()
    return (right + max(fit, -1.0)) / 2
