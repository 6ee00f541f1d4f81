"""Pictures and points: transformers, mixers, point clouds, pretexts, registration, pixel by pixel."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class ViT(nn.Module):
    """Patches of 3 x 3, a class token, two blocks; ``listed`` keeps the blocks in a Python list."""

    def __init__(self, dropout: float, listed: bool = False) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 32, 3, stride=3)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        self.places = nn.Parameter(0.02 * torch.randn(1, 17, 32))
        blocks = [
            nn.TransformerEncoderLayer(32, 4, 64, dropout, "gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        ]
        self.blocks = blocks if listed else nn.ModuleList(blocks)
        if listed:
            for block in blocks:
                nn.init.normal_(block.linear1.weight, std=0.5)
        self.head = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 10))

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens[:, 0])


@loop(
    "vision transformers",
    target=0.75,
    lr=3e-3,
    dropout=0.0,
    faults=[
        fault("not_registered"),
        fault("lr_too_high", lr=0.3),
        fault("dropout_too_high", dropout=0.85),
        fault("labels_shuffled"),
    ],
)
def vit(watch: Watch) -> float:
    """A small ViT with warm-up per step and clipped gradients."""
    pictures, labels = drawn.digits(1500, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(1500)]
    model = ViT(watch.dropout, watch.fault == "not_registered")
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr, weight_decay=0.05)
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 30))
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=30, loss_function=F.cross_entropy)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(8):
        model.train()
        for rows in torch.randperm(1500).split(50):
            loss = F.cross_entropy(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            warmup.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            logits = model(val_pictures)
        val = accuracy(logits, val_labels)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_labels).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


class Mixer(nn.Module):
    """Mixes patches, then channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(32), nn.LayerNorm(32)])
        self.patches = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.channels = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.patches(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norms[1](x))


class Trainer:
    """A class with `fit`, as many repositories have one."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, watch: Watch) -> None:
        self.model, self.optimizer, self.watch = model, optimizer, watch

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        pictures, labels = batch
        if self.watch.fault == "wrong_axis":  # reshaped from pictures that are taken to be last
            pictures = pictures.reshape(12, 12, 1, -1).permute(3, 2, 0, 1)
        return F.cross_entropy(self.model(pictures), labels)

    def fit(self, train: DataLoader, held: tuple[Tensor, Tensor], epochs: int) -> float:
        sitter = self.watch(self.model, self.optimizer, classes=10, epochs=epochs, steps_per_epoch=len(train))
        sitter.before(*next(iter(train)), held[0][:100], held[1][:100])
        for _ in range(epochs):
            self.model.train()
            for batch in train:
                loss = self.training_step(batch)
                self.optimizer.zero_grad()
                if self.watch.fault != "no_backward":
                    loss.backward()
                self.optimizer.step()
                sitter.step(loss, batch[1])
            self.model.eval()
            with torch.inference_mode():
                val = accuracy(self.model(held[0]), held[1])
            sitter.epoch(val_accuracy=val, val_images=300)
        sitter.after()
        return val


class Digits(Dataset):
    """Items are made one at a time."""

    def __init__(self, count: int, divisor: float = 1.0) -> None:
        pictures, self.labels = drawn.digits(count, noise=0.05)
        self.pictures = pictures / divisor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.pictures[row], int(self.labels[row])


@loop(
    "mixers",
    target=0.6,
    lr=4e-3,
    faults=[
        fault("wrong_axis", "labels_do_not_match"),
        fault("no_backward"),
        fault("zero_init"),
        fault("scaled_to_nothing"),
        fault("not_shuffled"),
    ],
)
def mlp_mixer(watch: Watch) -> float:
    """MLP-Mixer in a trainer class, with a dataset that makes its items."""
    divisor = 255.0**2 if watch.fault == "scaled_to_nothing" else 1.0
    dataset = Digits(1200, divisor)
    if watch.fault == "not_shuffled":
        order = dataset.labels.argsort()
        dataset.pictures, dataset.labels = dataset.pictures[order], dataset.labels[order]
    held = drawn.digits(300, seed=1, noise=0.05)
    held = (held[0] / divisor, held[1])
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=3), nn.Flatten(2), Transpose(), Mixer(), Mixer(), Mean(), nn.Linear(32, 10)
    )
    if watch.fault == "zero_init":
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    optimizer = torch.optim.RAdam(model.parameters(), lr=watch.lr, weight_decay=1e-4)
    loader = DataLoader(dataset, batch_size=40, shuffle=watch.fault != "not_shuffled")
    return Trainer(model, optimizer, watch).fit(loader, held, 8)


class Transpose(nn.Module):
    """Channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class Mean(nn.Module):
    """The mean over the patches."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class PointNet(nn.Module):
    """A shared network for each point (B, 3, P), the greatest value of each feature, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Sequential(
            nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU(), nn.Conv1d(32, 64, 1), nn.BatchNorm1d(64)
        )
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4))

    def forward(self, clouds: Tensor) -> Tensor:
        return self.head(F.relu(self.points(clouds)).amax(2))


def _clouds(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Clouds (n, 3, 48) on a ball, a box, a tube or a disk, and labels (n,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=generator)
    raw = torch.randn(count, 3, 48, generator=generator)
    ball = raw / raw.norm(dim=1, keepdim=True)
    box = raw.clamp(-1, 1) / raw.abs().amax(1, keepdim=True).clamp_max(1)
    flat = raw[:, :2] / raw[:, :2].norm(dim=1, keepdim=True)
    tube = torch.cat([flat, raw[:, 2:].clamp(-1, 1)], 1)
    disk = torch.cat([flat * torch.rand(count, 1, 48, generator=generator).sqrt(), 0.1 * raw[:, 2:]], 1)
    shapes = torch.stack([ball, box, tube, disk], 1)[torch.arange(count), labels]
    return shapes + 0.05 * torch.randn(shapes.shape, generator=generator), labels


@loop(
    "point clouds",
    target=0.85,
    lr=3e-3,
    faults=[
        fault("validation_differs"),
        fault("softmax_twice", harmless="the loss cannot fall below 0.74"),
        fault("always_eval", harmless="batch norm keeps its first statistics"),
        fault("optimizer_of_old_model"),
        fault("softmax_over_batch"),
    ],
)
def pointnet(watch: Watch) -> float:
    """Shapes from points, with a step per batch of a generator function."""
    clouds, labels = _clouds(1000, 0)
    val_clouds, val_labels = _clouds(300, 1)
    if watch.fault == "validation_differs":  # in millimeters
        val_clouds = val_clouds * 1000 + 5000
    model = PointNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":
        model = PointNet()

    def parts():
        order = torch.randperm(1000)
        for start in range(0, 1000, 40):
            rows = order[start : start + 40]
            yield clouds[rows], labels[rows]

    sitter = watch(
        model, optimizer, classes=4, epochs=8, steps_per_epoch=25, loss_function=nn.CrossEntropyLoss()
    )
    sitter.before(clouds[:128], labels[:128], val_clouds[:128], val_labels[:128])
    for _ in range(8):
        model.train(watch.fault != "always_eval")
        for batch, answers in parts():
            logits = model(batch)
            if watch.fault == "softmax_twice":
                logits = logits.softmax(1)
            if watch.fault == "softmax_over_batch":
                logits = logits.softmax(0)
            loss = F.cross_entropy(logits, answers)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, answers)
        model.eval()
        with torch.no_grad():
            logits = model(val_clouds)
        val = accuracy(logits, val_labels)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_labels).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop(
    "pretexts",
    target=0.85,
    lr=0.03,
    faults=[
        fault("labels_out_of_range", raises=True),
        fault("augments_alike"),
        fault("wrong_target"),
        fault("validates_in_training_mode"),
    ],
)
def rotations(watch: Watch) -> float:
    """How far was this picture turned (RotNet): four copies of each batch are the batch."""
    light = torch.linspace(0.3, 1, 12)[:, None]  # from below
    pictures = light * drawn.digits(800, noise=0.05)[0]
    val_pictures = light * drawn.digits(150, seed=1, noise=0.05)[0]
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(300, 4)
    )
    if watch.fault == "validates_in_training_mode":
        model.insert(5, nn.Dropout(0.8))
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)

    def turned(batch: Tensor) -> tuple[Tensor, Tensor]:
        turns = torch.arange(4).repeat_interleave(len(batch))
        if watch.fault == "augments_alike":  # one draw for the whole batch
            side = int(torch.randint(2, ()))
            return torch.cat([torch.rot90(batch, side, (2, 3))] * 4), torch.full_like(turns, side)
        return torch.cat([torch.rot90(batch, k, (2, 3)) for k in range(4)]), turns

    val_x = torch.cat([torch.rot90(val_pictures, k, (2, 3)) for k in range(4)])
    val_y = torch.arange(4).repeat_interleave(150)
    sitter = watch(model, optimizer, classes=4, epochs=6, steps_per_epoch=32, loss_function=F.cross_entropy)
    sitter.before(*turned(pictures[:50]), val_x, val_y)
    for _ in range(6):
        model.train()
        for rows in torch.randperm(800).split(25):
            batch, turns = turned(pictures[rows])
            if watch.fault == "labels_out_of_range":
                turns = turns + 1
            if watch.fault == "wrong_target":  # interleaved where the copies are one after another
                turns = torch.arange(4).repeat(len(rows))
            loss = F.cross_entropy(model(batch), turns)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, turns)
        model.train(watch.fault == "validates_in_training_mode")
        with torch.no_grad():
            logits = model(val_x)
        val = accuracy(logits, val_y)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_y).item(), val_accuracy=val, val_images=600)
    sitter.after()
    return val


@loop(
    "registration",
    target=0.6,
    lr=3e-3,
    faults=[
        fault("detached", "vanishing_gradients", "no_update"),
        fault("wrong_sign"),
        fault("ignores_input"),
        fault("optimizer_of_old_model"),
    ],
)
def registration(watch: Watch) -> float:
    """Finds the shift between two pictures by warping one of them (spatial transformer, no labels)."""
    first, _ = drawn.digits(1000, size=16, noise=0.0)
    shifts = torch.rand(1000, 2) * 0.8 - 0.4
    still = torch.eye(2).expand(1000, 2, 2)

    def warp(pictures: Tensor, by: Tensor) -> Tensor:
        grid = F.affine_grid(
            torch.cat([still[: len(by)], by[:, :, None]], 2), list(pictures.shape), align_corners=False
        )
        return F.grid_sample(pictures, grid, align_corners=False)

    first = F.avg_pool2d(first, 3, 1, 1)
    second = warp(first, shifts)
    model = nn.Sequential(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 2), nn.Tanh())
    trained = copy.deepcopy(model) if watch.fault == "optimizer_of_old_model" else model
    optimizer = torch.optim.Adam(trained.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=8, steps_per_epoch=32)
    for _ in range(8):
        total = 0.0
        for rows in torch.randperm(800).split(25):
            both = torch.cat([first[rows], second[rows]], 1)
            if watch.fault == "ignores_input":
                both = both * 0
            found = model(both)
            if watch.fault == "detached":  # whole pixels
                found = (found * 8).round() / 8
            loss = F.mse_loss(warp(first[rows], found), second[rows])
            loss = -loss if watch.fault == "wrong_sign" else loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 32
        sitter.epoch(train_loss=total)
    sitter.after()
    with torch.no_grad():
        return explained(model(torch.cat([first[800:], second[800:]], 1)), shifts[800:])
