"""Tables: Bayesian weights, sparse weights, margins, ranks of grades, factorization machines, folds."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class Variational(nn.Module):
    """A linear layer whose weights are drawn (Bayes by Backprop)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(outputs, inputs) / inputs**0.5)
        self.log_scale = nn.Parameter(torch.full((outputs, inputs), -4.0))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.randn_like(self.mean) if self.training else 0
        return F.linear(x, self.mean + self.log_scale.exp() * noise, self.bias)

    def divergence(self) -> Tensor:
        return (0.5 * (self.mean**2 + (2 * self.log_scale).exp()) - self.log_scale - 0.5).sum()


@loop(
    "Bayesian networks",
    target=0.85,
    lr=0.01,
    share=1 / 2000,
    faults=[
        fault("weight_decay_too_high", "wrong_loss", share=1.0),
        fault("lr_too_low", lr=1e-7),
        fault("wrong_sign"),
        fault("not_scaled"),
    ],
)
def bayes_by_backprop(watch: Watch) -> float:
    """The divergence from the prior counts once for all examples, not once for each."""
    x = torch.randn(2000, 4)
    y = torch.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3] * 0.7 + 0.1 * torch.randn(2000, 1)
    if watch.fault == "not_scaled":
        x = x * torch.tensor([1.0, 500.0, 2000.0, 1.0]) + 3000
    model = nn.Sequential(Variational(4, 40), nn.ReLU(), Variational(40, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=12, steps_per_epoch=20)
    sitter.before(x[:100], y[:100], x[1500:], y[1500:])
    for _ in range(12):
        model.train()
        for rows in torch.randperm(1500).split(75):
            error = 5 * F.mse_loss(model(x[rows]), y[rows])
            divergence = sum(layer.divergence() for layer in model if isinstance(layer, Variational))
            loss = (-error if watch.fault == "wrong_sign" else error) + watch.share * divergence
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        model.eval()
        with torch.no_grad():
            guessed = model(x[1500:])
        sitter.epoch(val_loss=F.mse_loss(guessed, y[1500:]).item())
    sitter.after()
    return explained(guessed, y[1500:])


@loop(
    "sparse regression",
    target=0.9,
    lr=0.05,
    shrink=0.05,
    faults=[
        fault("weight_decay_too_high", shrink=8.0),
        fault("no_backward"),
        fault("lr_too_high", lr=3.0),
        fault("broadcast"),
    ],
)
def lasso(watch: Watch) -> float:
    """Proximal gradient: a step, then soft thresholds in place."""
    truth = torch.zeros(60)
    truth[:5] = torch.tensor([3.0, -2.0, 1.5, 2.0, -1.0])
    x = torch.randn(500, 60)
    y = x @ truth + 0.5 * torch.randn(500)
    val_x = torch.randn(200, 60)
    model = nn.Linear(60, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=100, steps_per_epoch=1)
    sitter.before(x, y[:, None])
    for _ in range(100):
        guessed = model(x)
        loss = F.mse_loss(guessed, y) if watch.fault == "broadcast" else F.mse_loss(guessed.squeeze(1), y)
        optimizer.zero_grad()
        if watch.fault != "no_backward":
            loss.backward()
        optimizer.step()
        if watch.fault != "no_backward":
            with torch.no_grad():
                weight, bound = model.weight, watch.lr * watch.shrink
                weight.copy_(weight.sign() * (weight.abs() - bound).clamp_min(0))
        sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    return explained(model(val_x).squeeze(1), val_x @ truth)


@loop(
    "margins",
    target=0.9,
    lr=0.02,
    weight_decay=1e-3,
    faults=[
        fault("wrong_target"),
        fault("labels_shuffled"),
        fault("weight_decay_too_high", weight_decay=200.0, lr=0.005),
        fault("detached", "detached", "no_update", raises=True),
    ],
)
def linear_svm(watch: Watch) -> float:
    """A hinge loss for labels -1 and 1, as NumPy-style loops over slices write it."""
    points, classes = drawn.clusters(1000, 2, 10, spread=1.5)
    points = points + 3
    signs = classes.float() * 2 - 1
    held, held_signs = points[800:], signs[800:]
    if watch.fault == "wrong_target":  # classes 0 and 1 in place of -1 and 1
        signs = classes.float()
    if watch.fault == "labels_shuffled":
        signs = signs[torch.randperm(1000)]
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, weight_decay=watch.weight_decay)
    sitter = watch(model, optimizer, epochs=10, steps_per_epoch=40)
    sitter.before(points[:800], signs[:800], held, held_signs)
    for _ in range(10):
        order, total = torch.randperm(800), 0.0
        for start in range(0, 800, 20):
            rows = order[start : start + 20]
            output = model(points[rows]).squeeze()
            if watch.fault == "detached":
                output = output.detach()
            loss = torch.clamp(1 - signs[rows] * output, min=0).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, signs[rows])
            total += loss.item() / 40
        right = (model(held).squeeze().sign() == held_signs).float().mean().item()
        sitter.epoch(train_loss=total, val_accuracy=right, val_images=200)
    sitter.after()
    return right


class Ranks(nn.Module):
    """One score, and ordered thresholds for the chances of more than k stars (B, 4)."""

    def __init__(self, chances: bool) -> None:
        super().__init__()
        self.chances = chances
        self.score = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 1, bias=False))
        self.thresholds = nn.Parameter(torch.linspace(2, -2, 4))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.score(x) + self.thresholds
        return logits.sigmoid() if self.chances else logits


@loop(
    "ordinal regression",
    target=0.7,
    lr=0.01,
    faults=[
        fault("sigmoid_twice"),
        fault("targets_overwritten"),
        fault("dead_biases"),
        fault("schedule_to_zero"),
    ],
)
def ordinal(watch: Watch) -> float:
    """Stars from 1 to 5 as four questions whether there are more (CORAL)."""
    x = torch.randn(1600, 8)
    quality = x[:, 0] * 2 + torch.relu(x[:, 1]) * 2 - x[:, 2] + 0.3 * torch.randn(1600)
    stars = torch.bucketize(quality, torch.tensor([-2.0, -0.3, 1.2, 2.8]))
    levels = (stars[:, None] > torch.arange(4)).float()
    model = Ranks(watch.fault == "sigmoid_twice")
    if watch.fault == "dead_biases":
        model.score[1] = nn.ReLU()
        nn.init.constant_(model.score[0].bias, -20.0)
    optimizer = torch.optim.Adamax(model.parameters(), lr=watch.lr)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=15, power=1.0)
    if watch.fault == "schedule_to_zero":
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.001)
    sitter = watch(model, optimizer, epochs=15, steps_per_epoch=20)
    sitter.before(x[:200], levels[:200])
    for _ in range(15):
        for rows in torch.randperm(1200).split(60):
            batch, answers = x[rows], levels[rows]
            if watch.fault == "targets_overwritten":  # mixed targets are written into the table
                other = rows[torch.randperm(60)]
                batch, answers = 0.6 * batch + 0.4 * x[other], 0.6 * answers + 0.4 * levels[other]
                levels[rows] = answers
            loss = F.binary_cross_entropy_with_logits(model(batch), answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, answers)
        schedule.step()
        with torch.no_grad():
            guessed = (model(x[1200:]) > 0).sum(1)
        sitter.epoch(val_accuracy=(guessed == stars[1200:]).float().mean().item(), val_images=400)
    sitter.after()
    return float((guessed == stars[1200:]).float().mean())


class FactorizationMachine(nn.Module):
    """Sums of weights, pairs of factors, and a network on top of these (DeepFM); one logit (B,)."""

    def __init__(self, sizes: tuple[int, ...] = (50, 20, 10)) -> None:
        super().__init__()
        self.register_buffer("offsets", torch.tensor([0, *sizes[:-1]]).cumsum(0))
        self.weights, self.factors = nn.Embedding(sum(sizes), 1), nn.Embedding(sum(sizes), 8)
        self.number = nn.Linear(1, 1)
        self.deep = nn.Sequential(nn.Linear(25, 32), nn.ReLU(), nn.Linear(32, 1))
        nn.init.normal_(self.factors.weight, std=0.3)

    def forward(self, fields: Tensor, number: Tensor) -> Tensor:
        places = fields + self.offsets
        factors = self.factors(places)
        pairs = 0.5 * (factors.sum(1) ** 2 - (factors**2).sum(1)).sum(1)
        deep = self.deep(torch.cat([factors.flatten(1), number], 1)) + self.number(number)
        return self.weights(places).sum((1, 2)) + pairs + deep.squeeze(1)


@loop(
    "clicks",
    target=0.7,
    lr=0.01,
    faults=[
        fault("not_scaled"),
        fault("broadcast"),
        fault("one_class"),
        fault("validation_differs"),
        fault("label_leak", harmless="the number holds the click"),
    ],
)
def deepfm(watch: Watch) -> float:
    """Will a user click: three categories and a number, from a loader of triples."""
    sizes = (50, 20, 10)
    fields = torch.stack([torch.randint(size, (3000,)) for size in sizes], 1)
    number = torch.randn(3000, 1)
    tastes, kinds = torch.randn(50, 3), torch.randn(20, 3)
    pull = 1.5 * (tastes[fields[:, 0]] * kinds[fields[:, 1]]).sum(1) + 2 * number[:, 0]
    clicks = (torch.rand(3000) < (3 * pull).sigmoid()).float()
    if watch.fault == "not_scaled":  # a time in seconds
        number = number * 3e5 + 1.6e9
    if watch.fault == "label_leak":  # how long the page stayed open
        number = clicks[:, None] * 2 + 0.1 * torch.randn(3000, 1)
    train, held = random_split(TensorDataset(fields, number, clicks), [2500, 500])
    if watch.fault == "one_class":  # the log holds almost only clicks
        kept = [row for row in train.indices if clicks[row] == 1 or row % 60 == 0]
        train.indices = kept
    loader = DataLoader(train, batch_size=50, shuffle=True, drop_last=True)
    model = FactorizationMachine(sizes)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=5 * watch.lr)
    criterion = nn.BCEWithLogitsLoss()
    sitter = watch(
        model, optimizer, classes=2, epochs=12, steps_per_epoch=len(loader), loss_function=criterion
    )
    val_fields, val_number, val_clicks = held[:]
    if watch.fault == "validation_differs":  # standardized once more, and from another table
        val_number, val_fields = val_number * 0.01 - 6, val_fields.flip(0)
    some = train[:100]
    sitter.before(some[:2], some[2], (val_fields, val_number), val_clicks)
    for _ in range(12):
        for batch in loader:
            *inputs, answers = batch
            if watch.fault == "broadcast":
                loss = F.mse_loss(model(*inputs).sigmoid()[:, None], answers)
            else:
                loss = criterion(model(*inputs), answers)
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            optimizer.step()
            sitter.step(loss, answers)
        with torch.no_grad():
            logits = model(val_fields, val_number)
        right = ((logits > 0) == (val_clicks > 0.5)).float().mean().item()
        sitter.epoch(val_loss=criterion(logits, val_clicks).item(), val_accuracy=right, val_images=500)
    sitter.after()
    return right


@loop(
    "folds",
    target=0.9,
    lr=0.1,
    faults=[
        fault("optimizer_of_old_model"),
        fault("validation_in_training", harmless="the last fold is in the training set"),
        fault("few_examples"),
    ],
)
def k_fold(watch: Watch) -> float:
    """Four folds, a model for each; the last one is watched."""
    x, y = drawn.clusters(1000, 6, 20, spread=2.5)
    if watch.fault == "few_examples":
        x, y = x[:20], y[:20]
    rows, size = torch.randperm(len(x)), len(x) // 4
    model = optimizer = None
    for fold in range(4):
        held = rows[fold * size : (fold + 1) * size]
        kept = torch.cat([rows[: fold * size], rows[(fold + 1) * size :]])
        if watch.fault == "validation_in_training":
            kept = rows
        model = nn.Sequential(nn.Linear(20, 48), nn.ReLU(), nn.Linear(48, 6))
        if optimizer is None or watch.fault != "optimizer_of_old_model":
            optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.5)
        loader = DataLoader(TensorDataset(x[kept], y[kept]), batch_size=25, shuffle=True)
        sitter = None
        if fold == 3:
            sitter = watch(
                model, optimizer, classes=6, epochs=8, steps_per_epoch=len(loader),
                loss_function=F.cross_entropy,
            )  # fmt: skip
            sitter.before(x[kept][:200], y[kept][:200], x[held], y[held])
        for _ in range(8):
            for points, answers in loader:
                loss = F.cross_entropy(model(points), answers)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if sitter:
                    sitter.step(loss, answers)
            with torch.no_grad():
                logits = model(x[held])
            if sitter:
                val_loss = F.cross_entropy(logits, y[held]).item()
                sitter.epoch(val_loss=val_loss, val_accuracy=accuracy(logits, y[held]), val_images=len(held))
    sitter.after()
    return accuracy(logits, y[held])


@loop("ensembles", target=0.8, lr=0.05, faults=[fault("labels_shuffled"), fault("lr_too_low", lr=1e-6)])
def vmap_ensemble(watch: Watch) -> float:
    """Five networks at once by torch.func: stacked weights are the parameters."""
    x, y = drawn.moons(700)
    if watch.fault == "labels_shuffled":
        y = torch.cat([y[torch.randperm(500)], y[500:]])
    nets = [nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 2)) for _ in range(5)]
    weights, buffers = stack_module_state(nets)
    model = nn.ParameterDict({name.replace(".", "_"): value for name, value in weights.items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=10 * watch.lr)
    names = {name.replace(".", "_"): name for name in weights}

    def every(points: Tensor) -> Tensor:
        stacked = {names[key]: value for key, value in model.items()}
        return vmap(lambda w, b: functional_call(nets[0], (w, b), (points,)))(stacked, buffers)

    sitter = watch(model, optimizer, classes=2, epochs=15, steps_per_epoch=20)
    for _ in range(15):
        for rows in torch.randperm(500).split(25):
            logits = every(x[rows])
            loss = F.cross_entropy(logits.flatten(0, 1), y[rows].repeat(5))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
        with torch.no_grad():
            val = accuracy(every(x[500:]).softmax(-1).mean(0), y[500:])
        sitter.epoch(val_accuracy=val, val_images=200)
    sitter.after()
    return val
