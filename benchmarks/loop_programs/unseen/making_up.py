"""What makes up data: variational and masked autoencoders, flows, adversaries, diffusion, energies."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import explained
from loop_programs.watch import Watch


class ConditionalVAE(nn.Module):
    """Reconstruction logits, mean and log variance; knows the digit."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(144 + 10, 96)
        self.fc21, self.fc22 = nn.Linear(96, 6), nn.Linear(96, 6)
        self.fc3, self.fc4 = nn.Linear(6 + 10, 96), nn.Linear(96, 144)

    def encode(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        h1 = F.relu(self.fc1(torch.cat([x, c], 1)))
        return self.fc21(h1), self.fc22(h1)

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        return self.fc4(F.relu(self.fc3(torch.cat([z, c], 1))))

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x.flatten(1), c)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return self.decode(z, c), mu, logvar


@loop(
    "autoencoders",
    target=0.45,
    lr=5e-3,
    beta=0.5,
    faults=[
        fault("penalty_too_heavy", beta=300.0),
        fault("lr_too_low", lr=1e-7),
        fault("wrong_sign", beta=-1.0),
        fault("not_in_optimizer"),
    ],
)
def conditional_vae(watch: Watch) -> float:
    """Sums over pixels and latents (PyTorch example VAE), with the label as a condition."""
    pictures, labels = drawn.digits(1400, noise=0.05)
    codes = F.one_hot(labels, 10).float()
    model = ConditionalVAE()
    parameters = model.fc4.parameters() if watch.fault == "not_in_optimizer" else model.parameters()
    optimizer = torch.optim.Adam(parameters, lr=watch.lr)
    sitter = watch(model, optimizer, task="generative", epochs=30, steps_per_epoch=24)

    def loss_function(logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        bce = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="sum")
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return (bce + watch.beta * kld) / len(x)

    for _epoch in range(30):
        model.train()
        train_loss = 0.0
        for rows in torch.randperm(1200).split(50):
            optimizer.zero_grad()
            recon, mu, logvar = model(pictures[rows], codes[rows])
            loss = loss_function(recon, pictures[rows], mu, logvar)
            loss.backward()
            train_loss += loss.item() / 24
            optimizer.step()
            sitter.step(loss)
        model.eval()
        with torch.no_grad():
            recon, mu, logvar = model(pictures[1200:], codes[1200:])
            sitter.epoch(
                train_loss=train_loss, val_loss=loss_function(recon, pictures[1200:], mu, logvar).item()
            )
    sitter.after()
    return explained(recon.sigmoid(), pictures[1200:])


class MaskedConv(nn.Conv2d):
    """Sees what is above and to the left; type B sees the pixel itself too."""

    def __init__(self, inside: int, outside: int, size: int, kind: str) -> None:
        super().__init__(inside, outside, size, padding=size // 2)
        mask = torch.ones_like(self.weight)
        mask[:, :, size // 2, size // 2 + (kind == "B") :] = 0
        mask[:, :, size // 2 + 1 :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


@loop(
    "pixels one by one",
    target=0.96,
    lr=5e-3,
    faults=[
        fault("label_leak"),
        fault("sigmoid_twice", harmless="the pixels are right, but the chances never sure"),
        fault("lr_too_high", lr=5.0),
        fault("optimizer_of_old_model"),
    ],
)
def pixel_cnn(watch: Watch) -> float:
    """Masked convolutions over black and white textures; judged by sampling the lower half."""

    def draw(count: int) -> Tensor:
        top = (torch.rand(count, 1, 1, 10) < 0.5).float().repeat(1, 1, 10, 1)
        stripes = torch.arange(10)[None, None, :, None] % 2
        return torch.where(torch.rand(count, 1, 1, 1) < 0.5, top, (top - stripes).abs())

    train, val = draw(600), draw(80)
    first = MaskedConv(1, 16, 5, "B" if watch.fault == "label_leak" else "A")
    net = nn.Sequential(first, nn.ReLU(), MaskedConv(16, 16, 3, "B"), nn.ReLU(), nn.Conv2d(16, 1, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":  # built again for another size
        net = nn.Sequential(first, nn.ReLU(), MaskedConv(16, 16, 3, "B"), nn.ReLU(), nn.Conv2d(16, 1, 1))
        for weight in net[2:].parameters():
            nn.init.uniform_(weight, -0.01, 0.01)
    if watch.fault == "sigmoid_twice":
        net.append(nn.Sigmoid())
    sitter = watch(net, optimizer, task="generative", epochs=7, steps_per_epoch=20)
    for _ in range(7):
        for rows in torch.randperm(600).split(30):
            loss = F.binary_cross_entropy_with_logits(net(train[rows]), train[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            sitter.epoch(val_loss=F.binary_cross_entropy_with_logits(net(val), val).item())
    sitter.after()
    made = val.clone()
    made[:, :, 5:] = 0
    with torch.no_grad():
        for row in range(5, 10):
            for column in range(10):
                out = net(made)[:, 0, row, column]
                chance = out if watch.fault == "sigmoid_twice" else out.sigmoid()
                made[:, 0, row, column] = (torch.rand(80) < chance).float()
    return 2 * float((made[:, :, 5:] == val[:, :, 5:]).float().mean()) - 1


class Coupling(nn.Module):
    """Moves and stretches one coordinate by what the other one says."""

    def __init__(self, fixed: int) -> None:
        super().__init__()
        self.fixed = fixed
        self.net = nn.Sequential(nn.Linear(1, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, other = x[:, self.fixed : self.fixed + 1], x[:, 1 - self.fixed : 2 - self.fixed]
        log_scale, shift = self.net(kept).chunk(2, 1)
        log_scale = torch.tanh(log_scale) * 1.5
        moved = other * log_scale.exp() + shift
        parts = [kept, moved] if self.fixed == 0 else [moved, kept]
        return torch.cat(parts, 1), log_scale.squeeze(1)


@loop(
    "flow",
    target=0.5,
    lr=3e-3,
    faults=[
        fault("wrong_sign"),
        fault("not_registered"),
        fault("few_examples"),
        fault("lr_too_high", lr=3.0),
    ],
)
def real_nvp(watch: Watch) -> float:
    """Coupling layers on two half moons; the score is the gain of likelihood over a normal distribution."""
    x, _ = drawn.moons(2000)
    x = (x - x.mean(0)) / x.std(0)
    train = x[:24] if watch.fault == "few_examples" else x[:1600]
    layers = [Coupling(index % 2) for index in range(6)]

    class Flow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(2))
            self.layers = layers if watch.fault == "not_registered" else nn.ModuleList(layers)

        def forward(self, z: Tensor) -> Tensor:
            z, logdet = z + self.shift, torch.zeros(len(z))
            for layer in self.layers:
                z, more = layer(z)
                logdet = logdet + more
            log_normal = -0.5 * z.square().sum(1) - math.log(2 * math.pi)
            if watch.fault == "wrong_sign" and self.training:
                return log_normal - logdet
            return log_normal + logdet

    flow = Flow()
    optimizer = torch.optim.Adam(flow.parameters(), lr=watch.lr)
    size = min(80, len(train))
    sitter = watch(flow, optimizer, task="generative", epochs=20, steps_per_epoch=20)
    for _ in range(20):
        flow.train()
        for _step in range(20):
            rows = torch.randint(len(train), (size,))
            loss = -flow(train[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(flow.parameters(), 10.0)
            optimizer.step()
            sitter.step(loss)
        flow.eval()
        with torch.no_grad():
            held = -flow(x[1600:]).mean().item()
        sitter.epoch(train_loss=loss.item(), val_loss=held)
    sitter.after()
    return 2.84 - held


class Generator(nn.Module):
    """Noise to points on a plane."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 2))

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)


@loop(
    "adversaries",
    target=0.6,
    lr=1e-3,
    faults=[fault("detached"), fault("no_step"), fault("lr_too_high", lr=1.0), fault("wrong_sign")],
)
def hinge_gan(watch: Watch) -> float:
    """Hinge losses and spectral norms, one optimizer each; the data is a stretched and moved cloud."""
    mix = torch.tensor([[1.0, 0.6], [0.0, 0.5]])
    center = torch.tensor([3.0, -2.0])
    netG = Generator()  # noqa: N806
    norm = nn.utils.parametrizations.spectral_norm
    netD = nn.Sequential(  # noqa: N806
        norm(nn.Linear(2, 48)),
        nn.LeakyReLU(0.2),
        norm(nn.Linear(48, 48)),
        nn.LeakyReLU(0.2),
        nn.Linear(48, 1),
    )  # fmt: skip
    optD = torch.optim.Adam(netD.parameters(), lr=4 * watch.lr, betas=(0.0, 0.9))  # noqa: N806
    optG = torch.optim.Adam(netG.parameters(), lr=watch.lr, betas=(0.0, 0.9))  # noqa: N806
    sitter = watch(netG, optG, task="generative", epochs=1, steps_per_epoch=400)
    for _ in range(400):
        real = torch.randn(64, 2) @ mix + center
        fake = netG(torch.randn(64, 4))
        lossD = F.relu(1 - netD(real)).mean() + F.relu(1 + netD(fake.detach())).mean()  # noqa: N806
        optD.zero_grad()
        lossD.backward()
        optD.step()
        score = netD(fake.detach() if watch.fault == "detached" else fake).mean()
        lossG = score if watch.fault == "wrong_sign" else -score  # noqa: N806
        optG.zero_grad()
        lossG.backward()
        if watch.fault != "no_step":
            optG.step()
        sitter.step(lossG)
    sitter.after()
    with torch.no_grad():
        made = netG(torch.randn(1000, 4))
    return 1 - float((made.mean(0) - center).norm()) / 3.6


class Denoiser(nn.Module):
    """The noise in points (B, 2) at times (B,) in [0, 1)."""

    def __init__(self, blind: bool) -> None:
        super().__init__()
        self.blind = blind
        self.net = nn.Sequential(
            nn.Linear(2 + 8, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] * torch.tensor([1.0, 2.0, 4.0, 8.0]) * 3.14
        when = torch.cat([angles.sin(), angles.cos()], 1)
        return self.net(torch.cat([x * 0 if self.blind else x, when], 1))


@loop(
    "diffusion",
    target=0.55,
    lr=6e-3,
    faults=[
        fault("ignores_input"),
        fault("wrong_target"),
        fault("large_init"),
        fault("schedule_to_zero"),
    ],
)
def ddpm_ring(watch: Watch) -> float:
    """Points on a ring, noise after a cosine schedule, ancestral sampling with an average of the weights."""
    steps = 40
    keep = torch.cos(torch.linspace(0, 1, steps + 1) * 1.5).square()
    kept = keep[1:]
    angle = torch.rand(2000) * 6.283
    data = torch.stack([angle.cos(), angle.sin()], 1) * 1.4 + 0.03 * torch.randn(2000, 2)
    model = Denoiser(watch.fault == "ignores_input")
    if watch.fault == "large_init":
        for weight in model.parameters():
            nn.init.normal_(weight, std=6.0)
    opt = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    ema = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98)
    )
    power = 90 if watch.fault == "schedule_to_zero" else 1
    sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: (1 - step / 1001) ** power)
    sitter = watch(model, opt, task="generative", epochs=10, steps_per_epoch=100)
    for _ in range(10):
        for _step in range(100):
            x0 = data[torch.randint(2000, (64,))]
            t = torch.randint(steps, (64,))
            noise = torch.randn_like(x0)
            a = kept[t][:, None]
            noisy = a.sqrt() * x0 + (1 - a).sqrt() * noise
            wanted = torch.randn_like(x0) if watch.fault == "wrong_target" else noise
            loss = F.mse_loss(model(noisy, t / steps), wanted)
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            ema.update_parameters(model)
            sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    x = torch.randn(400, 2)
    with torch.no_grad():
        for t_index in range(steps - 1, -1, -1):
            a, before = kept[t_index], keep[t_index]
            found = ema(x, torch.full((400,), t_index / steps))
            clean = ((x - (1 - a).sqrt() * found) / a.sqrt()).clamp(-2, 2)
            x = before.sqrt() * clean + (1 - before).sqrt() * found
    return 1 - float((x.norm(dim=1) - 1.4).abs().mean()) / 0.5


class MaskedAutoencoder(nn.Module):
    """Patches (B, 9, 16) in, all patches out; those under the mask are replaced by a learned token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.token = nn.Linear(16, 48), nn.Parameter(torch.zeros(48))
        self.places = nn.Parameter(0.1 * torch.randn(9, 48))
        layer = nn.TransformerEncoderLayer(48, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(48, 16)

    def forward(self, patches: Tensor, mask: Tensor) -> Tensor:
        x = torch.where(mask[..., None], self.token, self.embed(patches)) + self.places
        return self.head(self.encoder(x))


@loop(
    "self-supervised",
    target=0.35,
    lr=2e-3,
    faults=[fault("label_leak"), fault("same_batch"), fault("lr_too_low", lr=1e-6), fault("wrong_target")],
)
def masked_patches(watch: Watch) -> float:
    """Hides five of nine patches of a digit; the loss counts hidden patches only."""
    pictures, _ = drawn.digits(1700, noise=0.03)
    patches = pictures.unfold(2, 4, 4).unfold(3, 4, 4).reshape(-1, 9, 16)
    model = MaskedAutoencoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr, betas=(0.9, 0.95), weight_decay=0.05)
    sitter = watch(model, optimizer, task="generative", epochs=10, steps_per_epoch=30)

    def hide(count: int) -> Tensor:
        return torch.rand(count, 9).argsort(1) < 5

    val_mask = torch.rand(200, 9, generator=torch.Generator().manual_seed(1)).argsort(1) < 5
    for _ in range(10):
        for rows in torch.randperm(1500).split(50):
            batch = patches[:50] if watch.fault == "same_batch" else patches[rows]
            mask = hide(50)
            nothing = torch.zeros_like(mask)
            out = model(batch, nothing if watch.fault == "label_leak" else mask)
            wanted = batch.flip(0) if watch.fault == "wrong_target" else batch
            loss = (out - wanted)[mask].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            found = model(patches[1500:], val_mask)[val_mask]
        held = F.mse_loss(found, patches[1500:][val_mask]).item()
        sitter.epoch(train_loss=loss.item(), val_loss=held)
    sitter.after()
    return explained(found, patches[1500:][val_mask])
