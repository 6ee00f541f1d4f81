"""Tables and points: regression, two classes, several classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, balanced_accuracy, explained
from loop_programs.watch import Watch


@loop("regression", target=0.95, lr=1e-6, faults=[fault("lr_too_high", lr=1e-4), fault("wrong_sign")])
def manual_polynomial(watch: Watch) -> float:
    """A cubic polynomial for a sine, updated by hand (PyTorch: learning by examples)."""
    x = torch.linspace(-math.pi, math.pi, 2000)
    y = torch.sin(x)
    powers = x[:, None] ** torch.tensor([1, 2, 3])
    model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0, 1))
    loss_function = nn.MSELoss(reduction="sum")
    sitter = watch(model, None, task="regression", epochs=1, steps_per_epoch=2000)
    for _ in range(2000):
        loss = loss_function(model(powers), y)
        if watch.fault == "wrong_sign":
            loss = -loss
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= watch.lr * parameter.grad
        sitter.step(loss)
    sitter.after()
    return explained(model(powers), y)


class Customers(nn.Module):
    """Embeddings of two categories beside three numbers; one logit (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.city, self.product = nn.Embedding(30, 6), nn.Embedding(12, 4)
        self.layers = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, categories: Tensor, numbers: Tensor) -> Tensor:
        parts = [self.city(categories[:, 0]), self.product(categories[:, 1]), numbers]
        return self.layers(torch.cat(parts, 1)).squeeze(1)


def _customers(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    effects = torch.randn(42, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(seed)
    categories = torch.stack([torch.randint(n, (count,), generator=generator) for n in (30, 12)], 1)
    numbers = torch.randn(count, 3, generator=generator)
    score = 2 * effects[categories[:, 0]] + 1.5 * effects[30 + categories[:, 1]] + 0.5 * numbers[:, 0]
    return categories, numbers, (score + 0.2 * torch.randn(count, generator=generator) > 0).float()


@loop("two classes", target=0.6, lr=5e-3, faults=[fault("sigmoid_twice"), fault("not_in_optimizer")])
def tabular_embeddings(watch: Watch) -> float:
    """Entity embeddings, BCEWithLogitsLoss, batches as tuples."""
    categories, numbers, bought = _customers(2000, 0)
    val_categories, val_numbers, val_bought = _customers(500, 1)
    model = Customers()
    if watch.fault == "sigmoid_twice":
        model.layers.append(nn.Sigmoid())
        model.layers.append(nn.Unflatten(0, (-1,)))
    trained = model.layers.parameters() if watch.fault == "not_in_optimizer" else model.parameters()
    optimizer = torch.optim.Adam(trained, lr=watch.lr)
    loss_function = nn.BCEWithLogitsLoss()
    sitter = watch(
        model, optimizer, task="classification", epochs=8, steps_per_epoch=31, loss_function=loss_function
    )
    sitter.before((categories[:256], numbers[:256]), bought[:256])
    for _ in range(8):
        total = 0.0
        for rows in batches(2000, 64):
            optimizer.zero_grad()
            loss = loss_function(model(categories[rows], numbers[rows]), bought[rows])
            loss.backward()
            optimizer.step()
            sitter.step(loss, bought[rows])
            total += loss.item()
        with torch.no_grad():
            logits = model(val_categories, val_numbers)
        right = ((logits > 0).float() == val_bought).float().mean().item()
        sitter.epoch(train_loss=total / 31, val_accuracy=right, val_images=500)
    sitter.after()
    return 1 - loss_function(logits, val_bought).item() / math.log(2)


@loop(
    "rare class",
    target=0.8,
    lr=3e-3,
    faults=[fault("one_class"), fault("gradients_in_validation", harmless="graphs are kept")],
)
def churn(watch: Watch) -> float:
    """One customer in twenty leaves; the loss weighs these by 19."""
    x, _ = drawn.clusters(3000, 3, 10)
    direction = torch.randn(10, generator=torch.Generator().manual_seed(3))
    signal = x @ direction + 2 * torch.randn(3000, generator=torch.Generator().manual_seed(4))
    leaves = (signal > signal.quantile(0.95)).long()
    x, val_x, leaves, val_leaves = x[:2400], x[2400:], leaves[:2400], leaves[2400:]
    if watch.fault == "one_class":  # the features that tell are left out
        x, val_x = x[:, :1], val_x[:, :1]
    model = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    weight = None if watch.fault == "one_class" else torch.tensor([1.0, 19.0])
    sitter = watch(model, optimizer, classes=2, epochs=6, steps_per_epoch=37)
    sitter.before(x[:256], leaves[:256], val_x, val_leaves)
    for _ in range(6):
        model.train()
        for rows in batches(2400, 64):
            loss = F.cross_entropy(model(x[rows]), leaves[rows], weight=weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, leaves[rows])
        model.eval()
        with torch.set_grad_enabled(watch.fault == "gradients_in_validation"):
            logits = model(val_x)
        predicted = logits.argmax(1)
        sitter.epoch(
            val_loss=F.cross_entropy(logits, val_leaves).item(),
            val_accuracy=(predicted == val_leaves).float().mean().item(),
            val_images=600,
            val_predicted_counts=torch.bincount(predicted, minlength=2).tolist(),
        )
    sitter.after()
    return balanced_accuracy(predicted, val_leaves)


@loop("regression", target=0.85, lr=0.01, faults=[fault("wrong_sign"), fault("broadcast")])
def quantiles(watch: Watch) -> float:
    """The 10th, 50th and 90th percentile by the pinball loss."""
    x = torch.rand(2000, 1) * 4 - 2
    y = torch.sin(2 * x) + 0.3 * torch.randn(2000, 1)
    shares = torch.tensor([0.1, 0.5, 0.9])
    model = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=15, steps_per_epoch=20)

    def pinball(predicted: Tensor, truth: Tensor) -> Tensor:
        error = truth - predicted
        if watch.fault == "broadcast":  # each prediction against each truth
            error = truth.flatten()[:, None, None] - predicted
        if watch.fault == "wrong_sign":
            error = -error
            return torch.minimum(shares * error, (shares - 1) * error).mean()
        return torch.maximum(shares * error, (shares - 1) * error).mean()

    for _ in range(15):
        losses = []
        for rows in batches(2000, 100):
            loss = pinball(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
            losses.append(loss.item())
        sitter.epoch(train_loss=sum(losses) / len(losses))
    sitter.after()
    return explained(model(x)[:, 1], torch.sin(2 * x[:, 0]))


@loop("survival", target=0.75, lr=5e-3, faults=[fault("nan_at_first")])
def survival(watch: Watch) -> float:
    """Cox's partial likelihood over the whole table in each step."""
    x = torch.randn(600, 6)
    risk = x[:, 0] - x[:, 1] + 0.5 * x[:, 2]
    times = torch.exp(-risk + 0.3 * torch.randn(600))
    died = torch.rand(600) < 0.7
    order = times.argsort(descending=True)
    x, times, died = x[order], times[order], died[order]
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=100, steps_per_epoch=1)
    for _ in range(100):
        hazard = model(x).squeeze(1)
        if watch.fault == "nan_at_first":  # a logarithm of what may be zero
            hazard = F.relu(hazard).log() * torch.zeros(600)
        loss = -(hazard - torch.logcumsumexp(hazard, 0))[died].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    earlier = times[:, None] < times[None, :]
    return float((hazard[:, None] > hazard[None, :])[earlier].float().mean())


@loop(
    "two classes",
    target=0.9,
    lr=0.02,
    faults=[
        fault("labels_shuffled"),
        fault("validation_in_training", harmless="200 of the validation points were trained on"),
        fault("no_step"),
    ],
)
def moons(watch: Watch) -> float:
    """Two moons, one logit (B, 1), labels as floats (B, 1)."""
    points, labels = drawn.moons(800)
    val_points, val_labels = drawn.moons(200, seed=1)
    if watch.fault == "validation_in_training":
        points, labels = torch.cat([points[:600], val_points]), torch.cat([labels[:600], val_labels])
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(800)]
    targets = labels.float().unsqueeze(1)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.BCEWithLogitsLoss()
    sitter = watch(model, optimizer, classes=2, epochs=12, steps_per_epoch=25, loss_function=criterion)
    sitter.before(points, targets, val_points, val_labels.float().unsqueeze(1))
    for _ in range(12):
        for rows in batches(800, 32):
            optimizer.zero_grad()
            loss = criterion(model(points[rows]), targets[rows])
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss, targets[rows])
        with torch.no_grad():
            logits = model(val_points).squeeze(1)
        right = ((logits > 0) == val_labels.bool()).float().mean().item()
        loss_val = F.binary_cross_entropy_with_logits(logits, val_labels.float()).item()
        sitter.epoch(val_loss=loss_val, val_accuracy=right, val_images=200)
    sitter.after()
    return right


@loop(
    "several classes",
    target=0.9,
    lr=0.05,
    faults=[
        fault("lr_too_low", lr=1e-5),
        fault("labels_out_of_range", raises=True),
        fault("not_shuffled", harmless="a single layer copes with it"),
    ],
)
def softmax_regression(watch: Watch) -> float:
    """One linear layer on features (n, F), as for the iris flowers."""
    x, y = drawn.clusters(1200, 5, 12)
    val_x, val_y = drawn.clusters(300, 5, 12, seed=1)
    if watch.fault == "labels_out_of_range":
        y = y + 1
    if watch.fault == "not_shuffled":
        x, y = x[y.argsort()], y.sort().values
    model = nn.Linear(12, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr)
    sitter = watch(
        model, optimizer, classes=5, epochs=6, steps_per_epoch=40, loss_function=nn.CrossEntropyLoss()
    )
    sitter.before(x[:200], y[:200], val_x, val_y)
    for _ in range(6):
        order = torch.arange(1200) if watch.fault == "not_shuffled" else torch.randperm(1200)
        hits = 0
        for rows in order.split(30):
            logits = model(x[rows])
            loss = nn.functional.cross_entropy(logits, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
            hits += (logits.argmax(1) == y[rows]).sum().item()
        with torch.no_grad():
            val = accuracy(model(val_x), val_y)
        sitter.epoch(train_accuracy=hits / 1200, val_accuracy=val, val_images=300)
    sitter.after()
    return val


class Sets(nn.Module):
    """Sums of features of the members of a set (B, 10, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.member = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32))
        self.whole = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, sets: Tensor) -> Tensor:
        return self.whole(self.member(sets).mean(1))


@loop(
    "regression", target=0.9, lr=3e-3, faults=[fault("not_scaled"), fault("dead_biases"), fault("detached")]
)
def deep_sets(watch: Watch) -> float:
    """The spread of a set of points, by Deep Sets."""
    sets = torch.randn(2000, 10, 2) * (0.3 + torch.rand(2000, 1, 1))
    spread = sets.var(dim=(1, 2)).unsqueeze(1)
    if watch.fault == "not_scaled":
        sets = sets * 3000 + 50000
    model = Sets()
    if watch.fault == "dead_biases":
        nn.init.constant_(model.member[0].bias, -9.0)
    if watch.fault == "detached":
        model.whole.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(),))
        with torch.no_grad():
            model.member[2].weight.mul_(0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(
        model, optimizer, task="regression", epochs=10, steps_per_epoch=32, loss_function=nn.MSELoss()
    )
    sitter.before(sets[:128], spread[:128])
    for _ in range(10):
        losses = []
        for rows in batches(2000, 62):
            loss = F.mse_loss(model(sets[rows]), spread[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            losses.append(loss.item())
        sitter.epoch(train_loss=sum(losses) / len(losses))
    sitter.after()
    return explained(model(sets), spread)
