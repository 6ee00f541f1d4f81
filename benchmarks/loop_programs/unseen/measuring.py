"""Signals and physics: waves, movements, events, stacks of forecasts, equations, operators."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class CausalConv(nn.Conv1d):
    """A dilated convolution that is padded on the left, or on both sides by mistake."""

    def __init__(self, inside: int, outside: int, dilation: int, both: bool) -> None:
        super().__init__(inside, outside, 2 if not both else 3, dilation=dilation)
        self.pad = (dilation, dilation) if both else (dilation, 0)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pad))


class WaveNet(nn.Module):
    """Gated residual layers over quantized sound; logits (B, 32, T) of the next value."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(32, 16)
        self.gates = nn.ModuleList(CausalConv(16, 32, 2**k, both) for k in range(4))
        self.mix = nn.ModuleList(nn.Conv1d(16, 16, 1) for _ in range(4))
        self.out = nn.Conv1d(16, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, total = self.embed(x).transpose(1, 2), torch.zeros(())
        for gate, mix in zip(self.gates, self.mix, strict=True):
            left, right = gate(h).chunk(2, 1)
            skip = mix(left.tanh() * right.sigmoid())
            h, total = h + skip, total + skip
        return self.out(total.relu())


@loop(
    "audio",
    target=0.86,
    lr=5e-3,
    faults=[fault("label_leak"), fault("optimizer_of_old_model"), fault("lr_too_high", lr=3.0)],
)
def wavenet(watch: Watch) -> float:
    """The next of 32 values of tones after mu-law; judged by whether it continues a tone it has begun."""
    time = torch.arange(120)
    pitch, phase = 0.15 + 0.5 * torch.rand(300, 1), 6.3 * torch.rand(300, 1)
    wave = torch.sin(pitch * time + phase)
    codes = ((wave.sign() * (1 + 15 * wave.abs()).log() / math.log(16) + 1) / 2 * 31).round().long()
    net = WaveNet(watch.fault == "label_leak")
    optimizer = torch.optim.Adam(net.parameters(), lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":
        net = WaveNet(False)
    sitter = watch(net, optimizer, task="language_model", classes=32, epochs=8, steps_per_epoch=20)
    for _ in range(8):
        for rows in torch.randperm(240)[:240].split(12):
            start = int(torch.randint(60, ()))
            part = codes[rows, start : start + 60]
            loss = F.cross_entropy(net(part[:, :-1]), part[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, part[:, 1:])
        with torch.no_grad():
            sitter.epoch(val_loss=F.cross_entropy(net(codes[240:, :-1]), codes[240:, 1:]).item())
    sitter.after()
    with torch.no_grad():
        guess = torch.stack([net(codes[240:, :end])[:, :, -1].argmax(1) for end in range(60, 119)], 1)
    return float(((guess - codes[240:, 60:119]).abs() <= 2).float().mean())


class Activity(nn.Module):
    """Convolutions over time, then a GRU: logits (B, 4) for (B, 6, 40)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(6, 16, 5, stride=2), nn.BatchNorm1d(16), nn.ReLU())
        self.gru, self.fc = nn.GRU(16, 24, batch_first=True), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        _, last = self.gru(self.conv(x).transpose(1, 2))
        return self.fc(last[-1])


@loop(
    "movements",
    target=0.85,
    lr=5e-3,
    faults=[
        fault("wrong_axis"),
        fault("not_shuffled"),
        fault("not_scaled"),
        fault("few_validation_examples", harmless="a handful of windows to validate on"),
    ],
)
def activities(watch: Watch) -> float:
    """Six sensors, four activities, as with the phones of UCI HAR; sorted as they were recorded."""
    y = (
        torch.randint(4, (1000,)).sort().values
        if watch.fault == "not_shuffled"
        else torch.randint(4, (1000,))
    )
    time = torch.arange(40)
    speed = torch.tensor([0.15, 0.3, 0.5, 0.75])[y]
    waves = torch.sin(speed[:, None, None] * time + 6.3 * torch.rand(1000, 6, 1)) * torch.tensor(
        [1.0, 0.3, 0.5, 0.2, 0.8, 0.1]
    ).reshape(6, 1)
    x = waves + 0.4 * torch.randn(1000, 6, 40)
    order = torch.randperm(1000)
    val, train = order[:200], order[200:].sort().values
    if watch.fault == "few_validation_examples":
        val = val[:8]
    train_x = x[train]
    if watch.fault == "wrong_axis":  # a reshape where a transpose was meant
        train_x = x[train].transpose(1, 2).reshape(800, 6, 40)
    if watch.fault == "not_scaled":  # raw numbers of the converter, whose zero is far off
        train_x, x = 3e6 + train_x, 3e6 + x
    net = Activity()
    optimizer = torch.optim.RMSprop(net.parameters(), lr=watch.lr / 2)
    sitter = watch(net, optimizer, classes=4, epochs=5, steps_per_epoch=20, loss_function=F.cross_entropy)
    sitter.before(train_x[:200], y[train][:200], x[val], y[val])
    for _ in range(5):
        net.train()
        rows_of = torch.arange(800) if watch.fault == "not_shuffled" else torch.randperm(800)
        for rows in rows_of.split(40):
            loss = F.cross_entropy(net(train_x[rows]), y[train][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[train][rows])
        net.eval()
        with torch.no_grad():
            out = net(x[val])
        right = accuracy(out, y[val])
        sitter.epoch(val_loss=F.cross_entropy(out, y[val]).item(), val_accuracy=right, val_images=len(val))
    sitter.after()
    return right


@loop(
    "events",
    target=0.75,
    lr=5e-3,
    faults=[
        fault("softmax_twice", "wrong_loss"),
        fault("one_class"),
        fault("scaled_to_nothing"),
        fault("no_zero_grad", harmless="NAdam copes with it"),
    ],
)
def sound_events(watch: Watch) -> float:
    """Which of six sounds are heard at the same time: many labels, a spectrum in, F1 as the score."""
    tags = (torch.rand(1300, 6) < 0.3).float()
    if watch.fault == "one_class":  # only recordings in which nothing was heard were kept
        tags[:1000] *= (torch.rand(1000, 6) < 0.002).float()
    pitch = torch.tensor([3, 7, 12, 18, 25, 29])
    waves = torch.sin(pitch[None, :, None] * torch.arange(64) / 64 * 6.283 + 6.3 * torch.rand(1300, 6, 1))
    spectrum = torch.fft.rfft((waves * tags[..., None]).sum(1) + 0.5 * torch.randn(1300, 64)).abs() / 8
    if watch.fault == "scaled_to_nothing":
        spectrum = spectrum * 1e-9
    net = nn.Sequential(nn.Linear(33, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 6))
    if watch.fault == "scaled_to_nothing":
        nn.init.zeros_(net[0].bias)
    optimizer = torch.optim.NAdam(net.parameters(), lr=watch.lr)
    sitter = watch(net, optimizer, task="multilabel", classes=6, epochs=10, steps_per_epoch=25)
    sitter.before(spectrum[:200], tags[:200], spectrum[1000:], tags[1000:])
    for _ in range(10):
        for rows in torch.randperm(1000).split(40):
            out = net(spectrum[rows])
            if watch.fault == "softmax_twice":
                out = out.softmax(1)
            loss = F.binary_cross_entropy_with_logits(out, tags[rows])
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, tags[rows])
        with torch.no_grad():
            out = net(spectrum[1000:])
            out = out.softmax(1) - 0.5 if watch.fault == "softmax_twice" else out
        sitter.epoch(
            train_loss=loss.item(), val_loss=F.binary_cross_entropy_with_logits(out, tags[1000:]).item()
        )
    sitter.after()
    guess = (out > 0).float()
    return float(2 * (guess * tags[1000:]).sum() / (guess.sum() + tags[1000:].sum()))


class NBeatsBlock(nn.Module):
    """A part of the past that it explains, and a part of the future."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU())
        self.back, self.ahead = nn.Linear(48, 24), nn.Linear(48, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        return self.back(h), self.ahead(h)


class NBeats(nn.Module):
    """Three blocks; ``blocks`` may be a list that the module does not know of."""

    def __init__(self, blocks: list[NBeatsBlock], registered: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks) if registered else blocks
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(len(x), 6)
        for block in self.blocks:
            back, ahead = block(x)
            x, total = x - back, total + ahead
        return total * self.scale


@loop(
    "time series",
    target=0.75,
    lr=2e-3,
    faults=[fault("not_registered"), fault("wrong_sign"), fault("large_init"), fault("gradients_underflow")],
)
def nbeats(watch: Watch) -> float:
    """Residual stacks over windows of several series, L1 loss."""
    time = torch.arange(36).float()
    rate, phase, slope = 0.3 + 0.6 * torch.rand(1600, 1), 6.3 * torch.rand(1600, 1), torch.randn(1600, 1)
    series = torch.sin(rate * time + phase) + 0.03 * slope * time + 0.1 * torch.randn(1600, 36)
    past, future = series[:, 6:30], series[:, 30:]
    blocks = [NBeatsBlock() for _ in range(3)]
    if watch.fault == "large_init":
        for weight in (w for block in blocks for w in block.parameters() if w.dim() == 2):
            nn.init.normal_(weight, std=4.0)
    model = NBeats(blocks, watch.fault != "not_registered")
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(
        model, optimizer, task="regression", epochs=10, steps_per_epoch=32, loss_function=F.l1_loss
    )
    sitter.before(past[:200], future[:200], past[1280:], future[1280:])
    for _ in range(10):
        for rows in torch.randperm(1280).split(40):
            loss = F.l1_loss(model(past[rows]), future[rows])
            optimizer.zero_grad()
            if watch.fault == "wrong_sign":
                (-loss).backward()
            elif watch.fault == "gradients_underflow":  # half precision, unscaled, small
                (loss * 1e-5).backward()
                for weight in model.parameters():
                    if weight.grad is not None:
                        weight.grad = (weight.grad * 1e-4).half().float()
            else:
                loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            found = model(past[1280:])
        sitter.epoch(train_loss=loss.item(), val_loss=F.l1_loss(found, future[1280:]).item())
    sitter.after()
    return explained(found, future[1280:])


@loop(
    "equations",
    target=0.85,
    lr=5e-3,
    faults=[fault("not_in_optimizer"), fault("wrong_sign"), fault("zero_init")],
)
def pinn_inverse(watch: Watch) -> float:
    """A decay y' = -k y of unknown k from a few points: the network and k are learned together."""
    t_data = torch.linspace(0, 3, 12)[:, None]
    y_data = torch.exp(-1.3 * t_data) + 0.01 * torch.randn(12, 1)
    t_inside = torch.linspace(0, 3, 60)[:, None].requires_grad_()
    net = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
    if watch.fault == "zero_init":
        for weight in net.parameters():
            nn.init.zeros_(weight)
    k = nn.Parameter(torch.tensor(0.2))
    system = nn.ParameterDict({"k": k})
    model = nn.ModuleDict({"net": net, "system": system})
    chosen = net.parameters() if watch.fault == "not_in_optimizer" else model.parameters()
    optimizer = torch.optim.Adam(chosen, lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=1, steps_per_epoch=500)
    for _ in range(500):
        y = net(t_inside)
        (slope,) = torch.autograd.grad(y.sum(), t_inside, create_graph=True)
        residual = slope + k * y
        physics = residual.square().mean()
        data = F.mse_loss(net(t_data), y_data)
        loss = data - 0.3 * physics if watch.fault == "wrong_sign" else 5 * data + physics
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    with torch.no_grad():
        found = net(t_data)
    return min(explained(found, y_data), 1 - abs(k.item() - 1.3))


class Hamiltonian(nn.Module):
    """An energy (B, 1) whose gradient, turned, is the movement of (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, state: Tensor) -> Tensor:
        with torch.enable_grad():
            state = state.detach().requires_grad_()
            (grad,) = torch.autograd.grad(self.net(state).sum(), state, create_graph=True)
        return torch.stack([grad[:, 1], -grad[:, 0]], 1)


@loop(
    "physics",
    target=0.85,
    lr=3e-3,
    faults=[fault("wrong_target"), fault("no_step"), fault("schedule_per_batch"), fault("scaled_to_nothing")],
)
def hamiltonian(watch: Watch) -> float:
    """A pendulum's energy is learned from its movement (Greydanus)."""
    state = torch.randn(1500, 2) * 1.5
    movement = torch.stack([state[:, 1], -torch.sin(state[:, 0])], 1)
    movement = movement + 0.05 * torch.randn(1500, 2)
    if watch.fault == "wrong_target":  # sorted by time of recording, but only one of the two files
        movement[:1200] = movement[:1200][movement[:1200, 0].argsort()]
    scale = 1e-7 if watch.fault == "scaled_to_nothing" else 1.0
    model = Hamiltonian()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    every = 1 if watch.fault == "schedule_per_batch" else 24
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
    sitter = watch(model, optimizer, task="regression", epochs=10, steps_per_epoch=24)
    for _ in range(10):
        for step, rows in enumerate(torch.randperm(1200).split(50)):
            loss = F.mse_loss(model(state[rows] * scale), movement[rows] * scale)
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            if (step + 1) % every == 0:
                scheduler.step()
            sitter.step(loss)
        found = model(state[1200:] * scale).detach() / scale
        sitter.epoch(train_loss=loss.item(), val_loss=F.mse_loss(found, movement[1200:]).item())
    sitter.after()
    return explained(found, movement[1200:])
