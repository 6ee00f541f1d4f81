"""Programs that make data: VAE, GAN, codebooks, scores of a density."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import explained
from loop_programs.watch import Watch


class VAE(nn.Module):
    """A reconstruction, mean and log variance of the code (pytorch/examples)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(144, 100), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(100, 16), nn.Linear(100, 16)
        self.decoder = nn.Sequential(nn.Linear(16, 100), nn.ReLU(), nn.Linear(100, 144), nn.Sigmoid())

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encoder(pictures)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(code), mean, log_variance


@loop(
    "VAE",
    target=0.25,
    lr=3e-3,
    faults=[fault("wrong_sign"), fault("lr_too_high", lr=0.1), fault("detached"), fault("no_zero_grad")],
)
def vae(watch: Watch) -> float:
    """Binary cross-entropy summed over pixels, and the divergence of the code."""
    pictures, _ = drawn.digits(1500, noise=0.02)
    model = VAE()
    if watch.fault == "detached":
        model.decoder.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(),))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)

    def criterion(made: Tensor, given: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy(made, given.flatten(1), reduction="sum")
        divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return entropy - divergence if watch.fault == "wrong_sign" else entropy + divergence

    sitter = watch(model, optimizer, task="generative", epochs=12, steps_per_epoch=30)
    sitter.before(pictures[:100], pictures[:100])
    for _ in range(12):
        model.train()
        total = 0.0
        for rows in batches(1500, 50):
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad(set_to_none=True)
            made, mean, log_variance = model(pictures[rows])
            loss = criterion(made, pictures[rows], mean, log_variance)
            loss.backward()
            total += loss.item()
            optimizer.step()
            sitter.step(loss)
        sitter.epoch(train_loss=total / 1500)
    sitter.after()
    model.eval()
    return explained(model(pictures)[0], pictures)


@loop("GAN", target=0.5, lr=1e-3, faults=[fault("not_in_optimizer"), fault("no_step"), fault("wrong_target")])
def gan(watch: Watch) -> float:
    """A generator and a discriminator for a ring of points, an optimizer for each (DCGAN tutorial)."""
    generator = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 2))
    discriminator = nn.Sequential(
        nn.Linear(2, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2), nn.Linear(48, 1)
    )
    nets = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    of_generator = discriminator if watch.fault == "not_in_optimizer" else generator
    optimizers = [
        torch.optim.Adam(of_generator.parameters(), lr=watch.lr, betas=(0.5, 0.999)),
        torch.optim.Adam(discriminator.parameters(), lr=watch.lr, betas=(0.5, 0.999)),
    ]
    criterion = nn.BCEWithLogitsLoss()
    real_label, fake_label = torch.ones(128, 1), torch.zeros(128, 1)
    sitter = watch(nets, optimizers, task="generative", epochs=1, steps_per_epoch=500)

    def ring(count: int) -> Tensor:
        angle = 6.2832 * torch.rand(count)
        return 2 + torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(count, 2)

    for _ in range(500):
        fake = generator(torch.randn(128, 4))
        optimizers[1].zero_grad()
        loss_real = criterion(discriminator(ring(128)), real_label)
        loss_fake = criterion(discriminator(fake.detach()), fake_label)
        (loss_real + loss_fake).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        answer = fake_label if watch.fault == "wrong_target" else real_label
        loss = criterion(discriminator(fake), answer)
        loss.backward()
        if watch.fault != "no_step":
            optimizers[0].step()
        sitter.step(loss)
    sitter.after()
    with torch.no_grad():
        made = generator(torch.randn(1000, 4))
    return 1 - float(((made - 2).norm(dim=1) - 1).abs().mean())


class Codebook(nn.Module):
    """The nearest of 32 codes, straight through."""

    def __init__(self, straight: bool) -> None:
        super().__init__()
        self.codes, self.straight = nn.Embedding(32, 8), straight
        nn.init.normal_(self.codes.weight, std=0.3)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        points, shape = points.reshape(-1, 8), points.shape
        nearest = torch.cdist(points, self.codes.weight).argmin(1)
        chosen = self.codes(nearest)
        loss = F.mse_loss(chosen, points.detach()) + 0.25 * F.mse_loss(points, chosen.detach())
        points = points + (chosen - points).detach() if self.straight else chosen.detach()
        return points.reshape(shape), loss


@loop("VAE", target=0.2, lr=3e-3, faults=[fault("detached"), fault("scaled_to_nothing")])
def vq_autoencoder(watch: Watch) -> float:
    """VQ-VAE: the gradient jumps over the choice of a code."""
    pictures, _ = drawn.digits(1500, noise=0.02)
    if watch.fault == "scaled_to_nothing":
        pictures = pictures / 255 / 255
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 32))
    codebook = Codebook(watch.fault != "detached")
    decoder = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 144))
    model = nn.ModuleList([encoder, codebook, decoder])
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=8, steps_per_epoch=30)
    for _ in range(8):
        total = 0.0
        for rows in batches(1500, 50):
            codes, commitment = codebook(encoder(pictures[rows]))
            loss = F.mse_loss(decoder(codes), pictures[rows].flatten(1)) + commitment
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item()
        sitter.epoch(train_loss=total / 30)
    sitter.after()
    return explained(decoder(codebook(encoder(pictures))[0]), pictures)


@loop("score matching", target=0.6, lr=3e-3, faults=[fault("wrong_target")])
def score_matching(watch: Watch) -> float:
    """Denoising score matching on moons; one pass over drawn noise, no epochs."""
    points, _ = drawn.moons(2000)
    model = nn.Sequential(nn.Linear(2, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sigma = 0.5
    sitter = watch(model, optimizer, steps_per_epoch=600)
    for _ in range(600):
        chosen = points[torch.randint(2000, (256,))]
        noise = torch.randn_like(chosen)
        target = -noise / sigma
        if watch.fault == "wrong_target":
            target = -torch.randn_like(noise) / sigma
        loss = ((model(chosen + sigma * noise) - target) ** 2).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    noise = torch.randn_like(points)
    return 2 * explained(model(points + sigma * noise), -noise / sigma)
