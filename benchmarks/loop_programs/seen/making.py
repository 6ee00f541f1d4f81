"""Programs that make data: WGAN, diffusion, flows, pixels as parameters; and those that compare it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import explained
from loop_programs.watch import Watch


@loop("GAN", target=0.5, lr=5e-3, faults=[fault("wrong_sign"), fault("no_step"), fault("clipped_to_nothing")])
def wgan(watch: Watch) -> float:
    """A Wasserstein GAN with clipped weights and RMSprop; the critic's loss is reported."""
    generator = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, 2))
    critic = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))
    of_critic = torch.optim.RMSprop(critic.parameters(), lr=watch.lr)
    of_generator = torch.optim.RMSprop(generator.parameters(), lr=watch.lr)
    sitter = watch(critic, of_critic, task="generative", steps_per_epoch=400)
    limit = 1e-7 if watch.fault == "clipped_to_nothing" else 0.1
    for step in range(400):
        real = torch.randn(64, 2) * 0.3 + torch.tensor([2.0, -1.0])
        fake = generator(torch.randn(64, 4)).detach()
        loss = critic(fake).mean() - critic(real).mean()
        of_critic.zero_grad()
        loss.backward()
        if watch.fault != "no_step":
            of_critic.step()
        for parameter in critic.parameters():
            parameter.data.clamp_(-limit, limit)
        sitter.step(loss)
        if step % 2:
            made = critic(generator(torch.randn(64, 4))).mean()
            of_generator.zero_grad()
            (made if watch.fault == "wrong_sign" else -made).backward()
            of_generator.step()
    sitter.after()
    with torch.no_grad():
        made = generator(torch.randn(1000, 4))
    return 1 - float((made.mean(0) - torch.tensor([2.0, -1.0])).norm()) / 2


class Denoiser(nn.Module):
    """The noise in points (B, 2) at times (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2)
        )

    def forward(self, points: Tensor, time: Tensor) -> Tensor:
        angle = time[:, None] * torch.tensor([1.5, 6.0])
        return self.layers(torch.cat([points, angle.sin(), angle.cos()], 1))


@loop(
    "diffusion",
    target=0.45,
    lr=2e-3,
    faults=[fault("wrong_target"), fault("lr_too_high", lr=3.0), fault("no_zero_grad")],
)
def diffusion(watch: Watch) -> float:
    """DDPM on two moons: predicts the noise; the loss never comes near zero."""
    points, _ = drawn.moons(3000)
    points = 2 * points
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    kept = torch.cumprod(1 - torch.linspace(1e-3, 0.15, 40), 0)
    sitter = watch(model, optimizer, task="generative", epochs=12, steps_per_epoch=46)

    def noised(given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        time, noise = torch.randint(40, (len(given),)), torch.randn_like(given)
        share = kept[time][:, None]
        return share.sqrt() * given + (1 - share).sqrt() * noise, time / 40, noise

    for _ in range(12):
        total = 0.0
        for rows in batches(3000, 64):
            x, time, noise = noised(points[rows])
            if watch.fault == "wrong_target":
                noise = torch.randn_like(noise)
            loss = F.mse_loss(model(x, time), noise)
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 46
        sitter.epoch(train_loss=total)
    sitter.after()
    x, time, noise = noised(points)
    return explained(model(x, time), noise)


class Coupling(nn.Module):
    """RealNVP: half of the numbers scale and move the others."""

    def __init__(self, flip: bool) -> None:
        super().__init__()
        self.net, self.flip = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 2)), flip

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.flip(1).chunk(2, 1) if self.flip else x.chunk(2, 1)
        scale, move = self.net(first).chunk(2, 1)
        out = torch.cat([first, second * torch.exp(scale.tanh()) + move], 1)
        return (out.flip(1) if self.flip else out), scale.tanh().squeeze(1)


@loop(
    "flow", target=0.25, lr=5e-3, faults=[fault("wrong_sign"), fault("not_registered"), fault("no_backward")]
)
def flow(watch: Watch) -> float:
    """The density of two moons by a normalizing flow; the loss is a negative log likelihood."""
    points, _ = drawn.moons(2000)
    layers = [Coupling(bool(number % 2)) for number in range(6)]
    model = nn.ModuleList(layers) if watch.fault != "not_registered" else nn.Module()
    if watch.fault == "not_registered":
        model.layers, model.scale = layers, nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="generative", epochs=10, steps_per_epoch=20)

    def likelihood(x: Tensor) -> Tensor:
        total = x.new_zeros(len(x))
        for layer in layers:
            x, change = layer(x)
            total = total - change if watch.fault == "wrong_sign" else total + change
        if watch.fault == "not_registered":
            x, total = x * model.scale, total + model.scale.abs().log().sum()
        return total - 0.5 * (x**2).sum(1) - math.log(2 * math.pi)

    for _ in range(10):
        for rows in batches(2000, 100):
            loss = -likelihood(points[rows]).mean()
            optimizer.zero_grad()
            if watch.fault != "no_backward":
                loss.backward()
            optimizer.step()
            sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    if watch.fault == "wrong_sign":
        return 0.0
    normal = 0.5 * torch.logdet(torch.cov(points.T)) + 1 + math.log(2 * math.pi)
    return float(normal + likelihood(points).mean().detach())


@loop(
    "pixels",
    target=0.7,
    lr=0.05,
    faults=[fault("detached", "no_update", raises=True), fault("lr_too_low", lr=1e-6)],
)
def pixel_optimization(watch: Watch) -> float:
    """Neural style: the picture is what is optimized, the network is frozen and only measures."""
    pictures, _ = drawn.digits(2, noise=0.0)
    network = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)).eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    wanted = network(pictures[:1])
    pixels = torch.rand(1, 1, 12, 12).requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=watch.lr)
    sitter = watch(network, optimizer, steps_per_epoch=150)
    for _ in range(150):
        optimizer.zero_grad()
        seen = pixels.detach() if watch.fault == "detached" else pixels
        loss = F.mse_loss(network(seen), wanted)
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    return explained(pixels, pictures[:1])


def _encoder() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 16)
    )


def _order(codes: Tensor, labels: Tensor) -> float:
    """How often two pictures of a digit are nearer than two of different digits."""
    distances, same = torch.cdist(codes[:200], codes[200:400]), labels[:200, None] == labels[200:400]
    return float((distances[same][:600, None] < distances[~same][None, :600]).float().mean())


@loop(
    "metric learning",
    target=0.8,
    lr=2e-3,
    faults=[fault("wrong_sign"), fault("no_step"), fault("labels_shuffled")],
)
def triplet(watch: Watch) -> float:
    """Triplet margin loss: the loss ends at zero for most triplets."""
    pictures, labels = drawn.digits(1200, noise=0.05)
    truth = labels
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(1200)]
    model = _encoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.TripletMarginLoss(margin=1.0)
    of_class = [(labels == digit).nonzero().flatten() for digit in range(10)]
    others = [(labels != digit).nonzero().flatten() for digit in range(10)]

    def drawn_from(groups: list[Tensor], rows: Tensor) -> Tensor:
        chosen = [groups[label][torch.randint(len(groups[label]), ())] for label in labels[rows].tolist()]
        return pictures[torch.stack(chosen)]

    sitter = watch(model, optimizer, epochs=8, steps_per_epoch=24)
    for _ in range(8):
        total = 0.0
        for rows in batches(1200, 50):
            positive, negative = drawn_from(of_class, rows), drawn_from(others, rows)
            if watch.fault == "wrong_sign":
                positive, negative = negative, positive
            loss = criterion(model(pictures[rows]), model(positive), model(negative))
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss)
            total += loss.item() / 24
        sitter.epoch(train_loss=total)
    sitter.after()
    with torch.no_grad():
        return _order(model(pictures[:400]), truth[:400])


@loop(
    "contrastive",
    target=0.65,
    lr=2e-3,
    faults=[fault("augments_alike"), fault("wrong_target"), fault("lr_too_low", lr=1e-7)],
)
def simclr(watch: Watch) -> float:
    """Two views of each picture shall find each other (NT-Xent); the classes are the pictures of a batch."""
    pictures, _ = drawn.digits(1200, noise=0.05)
    model = _encoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)

    def view(given: Tensor, seed: int) -> Tensor:
        if watch.fault == "augments_alike":  # each worker has the same seed
            torch.manual_seed(seed)
        kept = (torch.rand(given.shape) < 0.8).float()
        return kept * given * (0.4 + 1.2 * torch.rand(len(given), 1, 1, 1)) + 0.05 * torch.randn_like(given)

    sitter = watch(model, optimizer, epochs=14, steps_per_epoch=20)
    for epoch in range(14):
        total = 0.0
        for step, rows in enumerate(batches(1200, 60)):
            first, second = (view(pictures[rows], 20 * epoch + step) for _ in range(2))
            codes = F.normalize(model(torch.cat([first, second])), dim=1)
            likeness = codes[:60] @ codes[60:].T / 0.2
            targets = torch.randperm(60) if watch.fault == "wrong_target" else torch.arange(60)
            loss = F.cross_entropy(likeness, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 20
        sitter.epoch(train_loss=total)
    sitter.after()
    losses = []
    for part in range(0, 600, 60):
        with torch.no_grad():
            codes = [
                F.normalize(model(view(pictures[part : part + 60], seed)), dim=1) for seed in (1000, 1001)
            ]
        losses.append(F.cross_entropy(codes[0] @ codes[1].T / 0.2, torch.arange(60)))
    return 1 - float(torch.stack(losses).mean()) / math.log(60)
