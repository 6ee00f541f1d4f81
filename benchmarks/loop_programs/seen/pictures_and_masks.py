"""Pictures: the classic tutorials, segmentation, mixing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, balanced_accuracy, explained
from loop_programs.watch import Watch


class Net(nn.Module):
    """pytorch/examples mnist, smaller: log probabilities."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 24, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.25)
        self.fc1, self.fc2 = nn.Linear(24 * 16, 64), nn.Linear(64, 10)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = self.dropout2(F.relu(self.fc1(torch.flatten(x, 1))))
        return F.log_softmax(self.fc2(x), dim=self.dim)


@loop(
    "classification of pictures",
    target=0.85,
    lr=1.0,
    faults=[
        fault("no_log"),
        fault(
            "schedule_per_batch",
            harmless="the rate falls by 0.7 each batch; what is learned is learned early",
        ),
        fault("softmax_over_batch", harmless="even batches make it work"),
        fault("validation_in_training", harmless="all test pictures were trained on"),
        fault("always_eval", harmless="dropout never drops"),
        fault("no_step"),
    ],
)
def mnist(watch: Watch) -> float:
    """Adadelta, StepLR, log_softmax and nll_loss."""
    train, test = drawn.digits(1500), drawn.digits(400, seed=1)
    if watch.fault == "validation_in_training":
        train = tuple(torch.cat([a[:1100], b]) for a, b in zip(train, test, strict=True))
    train_loader = DataLoader(TensorDataset((train[0] - 0.2) / 0.3, train[1]), batch_size=50, shuffle=True)
    test_loader = DataLoader(TensorDataset((test[0] - 0.2) / 0.3, test[1]), batch_size=200)
    model = Net(dim=0 if watch.fault == "softmax_over_batch" else 1)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=watch.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    sitter = watch(
        model,
        optimizer,
        classes=10,
        task="classification",
        epochs=4,
        steps_per_epoch=30,
        loss_function=F.nll_loss,
    )
    data, target = next(iter(train_loader))
    val_data, val_target = next(iter(test_loader))
    sitter.before(data, target, val_data, val_target)
    if watch.fault == "always_eval":
        model.eval()
    for _ in range(4):
        if watch.fault != "always_eval":
            model.train()
        for data, target in train_loader:
            optimizer.zero_grad()
            output = model(data)
            if watch.fault == "no_log":
                output = output.exp()
            loss = F.nll_loss(output, target)
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            if watch.fault == "schedule_per_batch":
                scheduler.step()
            sitter.step(loss, target)
        model.eval()
        test_loss, correct = 0.0, 0
        with torch.no_grad():
            for data, target in test_loader:
                output = model(data)
                test_loss += F.nll_loss(output, target, reduction="sum").item()
                correct += (output.argmax(1) == target).sum().item()
        sitter.epoch(val_loss=test_loss / 400, val_accuracy=correct / 400, val_images=400)
        scheduler.step()
    sitter.after()
    return correct / 400 if watch.fault != "no_log" else min(correct / 400, 1 - test_loss / 400)


def _body() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip


class UNet(nn.Module):
    """Logits (B, 3, H, W), with one skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU())
        self.up = nn.ConvTranspose2d(24, 16, 2, stride=2)
        self.head = nn.Sequential(nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        fine = self.down(pictures)
        coarse = self.deep(F.max_pool2d(fine, 2))
        return self.head(torch.cat([fine, self.up(coarse)], 1))


@loop(
    "segmentation",
    target=0.75,
    lr=3e-3,
    faults=[
        fault("softmax_twice", harmless="the loss cannot fall below 0.55"),
        fault("not_scaled", harmless="normalization mends most of it"),
        fault("wrong_target"),
        fault("validates_in_training_mode", harmless="the reported numbers are of the wrong mode"),
        fault("detached", harmless="the body stays as it was drawn"),
    ],
)
def unet(watch: Watch) -> float:
    """A class for each pixel; labels (B, H, W), most of them background."""
    pictures, masks, _ = drawn.blobs(600)
    if watch.fault == "not_scaled":
        pictures = 255 * pictures
    val_pictures, val_masks = pictures[500:], masks[500:]
    if watch.fault == "wrong_target":  # the masks are transposed, the pictures are not
        masks = masks.transpose(1, 2)
    model = UNet()
    if watch.fault == "softmax_twice":
        model.head.append(nn.Softmax(dim=1))
    if watch.fault == "detached":
        model.head.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(),))
        model.head[0].weight.data[:, :16] *= 0.01
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=3, task="segmentation", epochs=4, steps_per_epoch=20)
    sitter.before(pictures[:25], masks[:25], val_pictures[:25], val_masks[:25])
    for _ in range(4):
        model.train()
        total = 0.0
        for rows in batches(500, 25):
            loss = F.cross_entropy(model(pictures[rows]), masks[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, masks[rows])
            total += loss.item()
        if watch.fault != "validates_in_training_mode":
            model.eval()
        with torch.no_grad():
            logits = model(val_pictures)
        sitter.epoch(train_loss=total / 20, val_loss=F.cross_entropy(logits, val_masks).item())
    sitter.after()
    return balanced_accuracy(logits.argmax(1), val_masks)


@loop(
    "mixed pictures",
    target=0.8,
    lr=3e-3,
    faults=[
        fault("wrong_target", "augmentation"),
        fault("dropout_too_high", dropout=0.97),
        fault("no_zero_grad", lr=0.05),
    ],
    dropout=0.0,
)
def mixup(watch: Watch) -> float:
    """Pictures and losses are mixed in pairs (mixup)."""
    pictures, labels = drawn.digits(1500, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    model = nn.Sequential(_body(), nn.Dropout(watch.dropout), nn.Linear(24 * 9, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    mix = torch.distributions.Beta(0.4, 0.4)
    sitter = watch(model, optimizer, classes=10, epochs=4, steps_per_epoch=30)
    sitter.before(pictures[:100], labels[:100], val_pictures[:100], val_labels[:100])
    for _ in range(4):
        model.train()
        for rows in batches(1500, 50):
            share, other = mix.sample(), rows[torch.randperm(50)]
            logits = model(share * pictures[rows] + (1 - share) * pictures[other])
            first, second = labels[rows], labels[other]
            if watch.fault == "wrong_target":  # the labels are mixed in another order than the pictures
                first, second = labels[rows[torch.randperm(50)]], labels[rows[torch.randperm(50)]]
            loss = share * F.cross_entropy(logits, first) + (1 - share) * F.cross_entropy(logits, second)
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        model.eval()
        with torch.no_grad():
            logits = model(val_pictures)
        val = accuracy(logits, val_labels)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_labels).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


class Cleaner(nn.Module):
    """An autoencoder of pictures (B, 1, 12, 12)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(144, 96), nn.ReLU(), nn.Linear(96, 32), nn.ReLU()
        )
        self.decoder = nn.Sequential(nn.Linear(32, 96), nn.ReLU(), nn.Linear(96, 144))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.decoder(self.encoder(pictures)).view_as(pictures)


@loop(
    "autoencoder",
    target=0.45,
    lr=3e-3,
    faults=[fault("wrong_target"), fault("dead_biases"), fault("scaled_to_nothing"), fault("saturated")],
)
def denoising_autoencoder(watch: Watch) -> float:
    """Clean pictures from noisy ones."""
    clean, _ = drawn.digits(1500, noise=0.0)
    if watch.fault == "scaled_to_nothing":
        clean = clean / 255 / 255
    noisy = clean + 0.3 * clean.max() * torch.randn_like(clean)
    truth = clean
    if watch.fault == "wrong_target":
        clean = clean[torch.randperm(1500)]
    model = Cleaner()
    if watch.fault == "dead_biases":
        nn.init.constant_(model.encoder[3].bias, -20.0)
    if watch.fault == "saturated":
        model.encoder[4] = nn.Sigmoid()
        nn.init.constant_(model.encoder[3].bias, 20.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.MSELoss()
    sitter = watch(model, optimizer, epochs=10, steps_per_epoch=30, loss_function=criterion)
    sitter.before(noisy[:100], clean[:100])
    for _ in range(10):
        total = 0.0
        for rows in batches(1500, 50):
            loss = criterion(model(noisy[rows]), clean[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item()
        sitter.epoch(train_loss=total / 30)
    sitter.after()
    return explained(model(noisy), truth)


@loop(
    "several tasks",
    target=0.75,
    lr=3e-3,
    faults=[fault("detached"), fault("broadcast"), fault("not_in_optimizer")],
)
def multi_task(watch: Watch) -> float:
    """The digit and its ink, from one body by two heads; losses are added."""
    pictures, labels = drawn.digits(1500, noise=0.05)
    ink = pictures.mean((1, 2, 3)) * 20 - 4
    body = nn.Sequential(nn.Flatten(), nn.Linear(144, 96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU())
    heads = nn.ModuleDict({"digit": nn.Linear(64, 10), "ink": nn.Linear(64, 1)})
    model = nn.ModuleDict({"body": body, "heads": heads})
    if watch.fault == "detached":
        body.register_forward_hook(lambda module, inputs, output: output.detach())
        body[1].weight.data.mul_(0.02)
    parameters = body[:2].parameters() if watch.fault == "not_in_optimizer" else model.parameters()
    optimizer = torch.optim.Adam(parameters, lr=watch.lr)
    sitter = watch(model, optimizer, epochs=12, steps_per_epoch=28)
    for _ in range(12):
        total = 0.0
        for rows in batches(1400, 50):
            features = body(pictures[rows])
            amount = heads["ink"](features)
            truth = ink[rows] if watch.fault == "broadcast" else ink[rows, None]
            loss = F.cross_entropy(heads["digit"](features), labels[rows]) + F.mse_loss(amount, truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item()
        sitter.epoch(train_loss=total / 28)
    sitter.after()
    with torch.no_grad():
        features = body(pictures[1400:])
    return min(
        accuracy(heads["digit"](features), labels[1400:]), explained(heads["ink"](features), ink[1400:])
    )


@loop(
    "rare class",
    target=0.75,
    lr=3e-3,
    faults=[fault("wrong_sign"), fault("one_class"), fault("not_shuffled", harmless="the fit recovers")],
)
def focal_loss(watch: Watch) -> float:
    """Is it a 7? One in ten; focal loss on one logit."""
    pictures, digits = drawn.digits(2000, noise=0.05)
    labels = (digits == 7).float()
    val_pictures, val_labels = pictures[1600:], labels[1600:]
    pictures, labels = pictures[:1600], labels[:1600]
    if watch.fault == "one_class":
        labels = torch.zeros_like(labels)
    if watch.fault == "not_shuffled":
        order = labels.argsort()
        pictures, labels = pictures[order], labels[order]
    model = nn.Sequential(_body(), nn.Linear(24 * 9, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)

    def focal(logits: Tensor, truth: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        loss = ((1 - torch.exp(-entropy)) ** 2 * entropy * (1 + 4 * truth)).mean()
        return -loss if watch.fault == "wrong_sign" else loss

    sitter = watch(model, optimizer, classes=2, epochs=4, steps_per_epoch=32, loss_function=focal)
    sitter.before(pictures[:160], labels[:160], val_pictures[:160], val_labels[:160])
    for _ in range(4):
        model.train()
        order = torch.arange(1600) if watch.fault == "not_shuffled" else torch.randperm(1600)
        for rows in order.split(50):
            loss = focal(model(pictures[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            predicted = (model(val_pictures) > 0).float()
        right = (predicted == val_labels).float().mean().item()
        sitter.epoch(val_accuracy=right, val_images=400)
    sitter.after()
    return balanced_accuracy(predicted, val_labels)
