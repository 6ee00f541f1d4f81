"""Tables: claims, loans, power consumption, fraud, ratings, gammas."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, balanced_accuracy, explained
from loop_programs.watch import Watch


@loop(
    "regression",
    target=0.75,
    lr=0.01,
    faults=[fault("exp_twice"), fault("wrong_sign"), fault("lr_too_low", lr=1e-6)],
)
def insurance_claims(watch: Watch) -> float:
    """Poisson regression of claims with the log of the exposure as an offset."""
    features = torch.randn(3000, 6)
    exposure = 0.2 + 0.8 * torch.rand(3000)
    log_rate = 0.6 * features[:, 0] - 0.5 * features[:, 1] + 0.4 * features[:, 2].abs() + 0.5
    claims = torch.poisson(log_rate.exp() * exposure)
    net = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 1))
    criterion = nn.PoissonNLLLoss(log_input=True)
    opt = torch.optim.Adam(net.parameters(), lr=watch.lr)
    sitter = watch(net, opt, task="regression", epochs=8, steps_per_epoch=25, loss_function=criterion)
    sitter.before(features[:256], claims[:256, None], features[2500:], claims[2500:, None])
    for _epoch in range(8):
        running = 0.0
        for idx in torch.randperm(2500).split(100):
            opt.zero_grad()
            out = net(features[idx]).squeeze(1) + exposure[idx].log()
            if watch.fault == "exp_twice":
                out = out.exp()
            loss = criterion(out, claims[idx])
            if watch.fault == "wrong_sign":
                loss = -loss
            loss.backward()
            opt.step()
            sitter.step(loss)
            running += loss.item() / 25
        with torch.no_grad():
            out = net(features[2500:]).squeeze(1) + exposure[2500:].log()
            held = criterion(out.exp() if watch.fault == "exp_twice" else out, claims[2500:]).item()
        sitter.epoch(train_loss=running, val_loss=held)
    sitter.after()
    with torch.no_grad():
        found = net(features[2500:]).squeeze(1)
    if watch.fault == "exp_twice":
        found = (found + exposure[2500:].log()).exp() - exposure[2500:].log()
    return explained(found, log_rate[2500:])


class Loans(Dataset[tuple[Tensor, Tensor]]):
    """Rows of a table and whether the loan failed."""

    def __init__(self, count: int, seed: int, share: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.y = (torch.rand(count, generator=generator) < share).float()
        self.x = torch.randn(count, 10, generator=generator)
        self.x[:, :3] += 1.6 * self.y[:, None]
        self.x[:, 3] *= 1 + self.y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


@loop(
    "rare positives",
    target=0.85,
    lr=3e-3,
    weight=12.0,
    share=0.08,
    faults=[
        fault("one_class", share=0.004, weight=1.0),
        fault("frozen", "frozen_parameters", "ignores_input"),
        fault("sigmoid_twice", harmless="ranks well, but the chances are never sure"),
        fault("labels_shuffled"),
    ],
)
def credit_default(watch: Watch) -> float:
    """Few loans fail: a weight for the positives, and balanced accuracy."""
    train, val = Loans(2000, 0, watch.share), Loans(800, 1, 0.08)
    if watch.fault == "labels_shuffled":
        train.y = train.y[torch.randperm(2000)]
    loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 16), nn.ReLU())
    model.append(nn.Linear(16, 1))
    if watch.fault == "frozen":  # meant for another model
        model[:4].requires_grad_(False)
        nn.init.zeros_(model[0].weight)
    if watch.fault == "sigmoid_twice":
        model.append(nn.Sigmoid())
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([watch.weight]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    sitter = watch(
        model, optimizer, classes=2, epochs=6, steps_per_epoch=len(loader), loss_function=criterion
    )
    sitter.before(train.x[:200], train.y[:200, None], val.x, val.y[:, None])
    for _ in range(6):
        model.train()
        for xb, yb in loader:
            logits = model(xb)
            loss = criterion(logits, yb.unsqueeze(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, yb)
        model.eval()
        with torch.no_grad():
            out = model(val.x)
        cut = 0.5 if watch.fault == "sigmoid_twice" else 0.0
        guess = (out.squeeze(1) > cut).float()
        sitter.epoch(
            val_loss=criterion(out, val.y[:, None]).item(),
            val_accuracy=accuracy(torch.stack([1 - guess, guess], 1), val.y.long()),
            val_images=800,
            val_balanced_accuracy=balanced_accuracy(guess, val.y),
        )
    sitter.after()
    return balanced_accuracy(guess, val.y)


class LoadForecaster(nn.Module):
    """The next hour (B, 1) from windows (B, 24, 2) of load and temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(input_size=2, hidden_size=24, batch_first=True)
        self.fc = nn.Linear(24, 1)

    def forward(self, window: Tensor) -> Tensor:
        out, _ = self.lstm(window)
        return self.fc(out[:, -1, :])


@loop(
    "time series",
    target=0.8,
    lr=0.01,
    faults=[
        fault("target_not_scaled"),
        fault("validation_differs"),
        fault("broadcast"),
        fault("label_leak"),
        fault("no_zero_grad", lr=0.03),
    ],
)
def power_consumption(watch: Watch) -> float:
    """Sliding windows over hourly load, scaled by the mean and deviation of the training part."""
    hours = torch.arange(1600).float()
    temperature = 10 + 8 * torch.sin(hours / 24 * 6.283) + torch.randn(1600)
    load = 9000 + 1500 * torch.sin(hours / 12 * 6.283 + 1) + 90 * temperature + 120 * torch.randn(1600)
    raw = torch.stack([load, temperature], 1)
    mean, std = raw[:1200].mean(0), raw[:1200].std(0)
    scaled = (raw - mean) / std
    if watch.fault == "validation_differs":  # a scaler of its own, in MW
        scaled[1200:] = raw[1200:] / 1000
    windows = scaled.unfold(0, 24, 1).transpose(1, 2)[:-1].clone()
    target = load[24:] if watch.fault == "target_not_scaled" else ((load - mean[0]) / std[0])[24:]
    if watch.fault == "label_leak":  # the column was shifted the wrong way
        windows[:1150, -1, 1] = target[:1150]
    y = target if watch.fault == "broadcast" else target.unsqueeze(1)
    model = LoadForecaster()
    loss_fn, optimizer = nn.MSELoss(), torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=8, steps_per_epoch=18, loss_function=loss_fn)
    sitter.before(windows[:256], y[:256], windows[1200:], y[1200:])
    for _ in range(8):
        model.train()
        for rows in torch.randperm(1150)[:1152].split(64):
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss = loss_fn(model(windows[rows]), y[rows])
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        model.eval()
        with torch.no_grad():
            out = model(windows[1200:])
            sitter.epoch(train_loss=loss.item(), val_loss=loss_fn(out, y[1200:]).item())
    sitter.after()
    return explained(out, target[1200:])


@loop(
    "anomalies",
    target=0.85,
    lr=5e-3,
    faults=[fault("scaled_to_nothing"), fault("no_step"), fault("weight_decay_too_high", weight_decay=20.0)],
    weight_decay=0.0,
)
def fraud_autoencoder(watch: Watch) -> float:
    """Learns to repeat normal payments; what it repeats badly is fraud. The score is the ranking."""
    factors = torch.randn(4, 16, generator=torch.Generator().manual_seed(3))
    normal = torch.randn(2000, 4) @ factors + 0.2 * torch.randn(2000, 16)
    odd = torch.randn(200, 16) * normal.std(0)
    if watch.fault == "scaled_to_nothing":  # cents to millions
        normal, odd = normal * 1e-7, odd * 1e-7
    encoder = nn.Sequential(nn.Linear(16, 24), nn.ELU(), nn.Linear(24, 4))
    decoder = nn.Sequential(nn.Linear(4, 24), nn.ELU(), nn.Linear(24, 16))
    autoencoder = nn.Sequential(encoder, decoder)
    opt = torch.optim.AdamW(autoencoder.parameters(), lr=watch.lr, weight_decay=watch.weight_decay)
    loader = DataLoader(TensorDataset(normal[:1600]), batch_size=50, shuffle=True)
    sitter = watch(autoencoder, opt, task="regression", epochs=10, steps_per_epoch=32)
    for _ in range(10):
        for (batch,) in loader:
            rebuilt = autoencoder(batch)
            loss = F.mse_loss(rebuilt, batch)
            opt.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                opt.step()
            sitter.step(loss)
        with torch.no_grad():
            errors = (autoencoder(normal[1600:]) - normal[1600:]).square().mean(1)
        sitter.epoch(train_loss=loss.item(), val_loss=errors.mean().item())
    sitter.after()
    with torch.no_grad():
        odd_errors = (autoencoder(odd) - odd).square().mean(1)
    share = (odd_errors[:, None] > errors[None]).float().mean().item()
    spread = normal[1600:].var(0).mean().item()
    return share * max(0.0, 1 - errors.mean().item() / spread)


@loop(
    "several classes",
    target=0.6,
    lr=0.01,
    faults=[
        fault("labels_out_of_range", raises=True),
        fault("dropout_too_high", dropout=0.98),
        fault("wrong_target"),
    ],
    dropout=0.1,
)
def star_ratings(watch: Watch) -> float:
    """One to five stars as classes; the losses of all epochs are kept in a list."""
    users = torch.randn(2400, 12)
    taste = torch.randn(12, generator=torch.Generator().manual_seed(5))
    liking = users @ taste / taste.norm() + 0.15 * torch.randn(2400)
    stars = 1 + torch.bucketize(liking, torch.tensor([-1.2, -0.4, 0.4, 1.2]))
    labels = stars if watch.fault == "labels_out_of_range" else stars - 1
    if watch.fault == "wrong_target":  # joined on the position after a sort
        labels = torch.cat([labels[:2000].sort().values, labels[2000:]])
    model = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Dropout(watch.dropout), nn.Linear(40, 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=5, epochs=8, steps_per_epoch=40)
    history: list[float] = []
    for _ in range(8):
        model.train()
        for rows in torch.randperm(2000).split(50):
            loss = nn.functional.cross_entropy(model(users[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            history.append(loss.item())
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.inference_mode():
            val = accuracy(model(users[2000:]), labels[2000:])
        sitter.epoch(train_loss=sum(history[-40:]) / 40, val_accuracy=val, val_images=400)
    sitter.after()
    return val


@loop(
    "regression",
    target=0.7,
    lr=0.02,
    faults=[fault("nan_at_first"), fault("lr_too_high", lr=30.0), fault("not_in_optimizer")],
)
def claim_sizes(watch: Watch) -> float:
    """Sizes of claims after a gamma distribution whose shape is learned along with the network."""
    x = torch.randn(2400, 5)
    mean = (0.5 * x[:, 0] + 0.4 * x[:, 1] * x[:, 2] + 1).exp()
    y = torch.distributions.Gamma(4.0, 4.0 / mean).sample()
    if watch.fault == "nan_at_first":  # claims that were refused have size zero
        y[torch.rand(2400) < 0.1] = 0
    net = nn.Sequential(nn.Linear(5, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))
    log_shape = nn.Parameter(torch.zeros(()))
    parameters = list(net[-1].parameters()) if watch.fault == "not_in_optimizer" else list(net.parameters())
    if watch.fault == "not_in_optimizer":
        nn.init.normal_(net[0].weight, std=0.02)
    opt = torch.optim.RMSprop([*parameters, log_shape], lr=watch.lr / 4)
    sitter = watch(net, opt, epochs=12, steps_per_epoch=40)
    sitter.before(x[:200], y[:200, None], x[2000:], y[2000:, None])
    for _ in range(12):
        for rows in torch.randperm(2000).split(50):
            log_mean = net(x[rows])[:, 0]
            shape = log_shape.exp()
            wanted = torch.distributions.Gamma(shape, shape / log_mean.exp(), validate_args=False)
            loss = -wanted.log_prob(y[rows]).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            sitter.step(loss)
        with torch.no_grad():
            guess = net(x[2000:])[:, 0]
        sitter.epoch(val_loss=F.mse_loss(guess.exp(), y[2000:]).item())
    sitter.after()
    return explained(guess, mean[2000:].log())


@loop(
    "margins",
    target=0.85,
    lr=1.0,
    faults=[fault("no_backward"), fault("not_scaled"), fault("labels_shuffled")],
)
def logistic_lbfgs(watch: Watch) -> float:
    """Logistic regression on all rows at once; LBFGS calls the closure several times a step."""
    x, y = drawn.clusters(900, 4, 8, spread=1.3)
    if watch.fault == "not_scaled":
        x = x * torch.tensor([1e4, 1.0, 1e-3, 1.0, 300.0, 1.0, 1.0, 1.0]) + 1e5
    if watch.fault == "labels_shuffled":
        y = torch.cat([y[:700][torch.randperm(700)], y[700:]])
    model = nn.Linear(8, 4)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=watch.lr, max_iter=5)
    sitter = watch(model, optimizer, classes=4, epochs=20, steps_per_epoch=1)
    sitter.before(x[:700], y[:700], x[700:], y[700:])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[:700]), y[:700]) + 1e-4 * model.weight.square().sum()
        if watch.fault != "no_backward":
            loss.backward()
        return loss

    for _ in range(20):
        loss = optimizer.step(closure)
        sitter.step(loss, y[:700])
        with torch.no_grad():
            out = model(x[700:])
        val = accuracy(out, y[700:])
        sitter.epoch(val_loss=F.cross_entropy(out, y[700:]).item(), val_accuracy=val, val_images=200)
    sitter.after()
    return val
