"""Pictures: classes, boxes, points, finer pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class Bytes(nn.Module):
    """Scales bytes (B, 1, 12, 12) itself."""

    def __init__(self, scale: float, bias: float = 0.0) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )
        nn.init.constant_(self.layers[1].bias, bias)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures.float() / self.scale)


@loop(
    "scaled inside",
    target=0.85,
    lr=0.1,
    momentum=0.9,
    faults=[
        fault("momentum_too_high", momentum=0.999),
        fault("not_scaled", "lr_too_high"),
        fault("scaled_to_nothing"),
        fault("dead_biases"),
        fault("few_examples", train_images=60),
    ],
    train_images=2000,
)
def bytes_mlp(watch: Watch) -> float:
    """An MLP that takes uint8."""
    pictures, labels = drawn.digits(watch.train_images, noise=0.05)
    val_pictures, val_labels = drawn.digits(400, seed=1, noise=0.05)
    pictures, val_pictures = (255 * pictures).to(torch.uint8), (255 * val_pictures).to(torch.uint8)
    scales = {"not_scaled": 1.0, "scaled_to_nothing": 255.0**3}
    model = Bytes(scales.get(watch.fault, 255.0), bias=-9.0 if watch.fault == "dead_biases" else 0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=watch.momentum)
    size = min(50, watch.train_images)
    steps = watch.train_images // size
    epochs = 320 // steps
    sitter = watch(
        model, optimizer, classes=10, epochs=epochs, steps_per_epoch=steps, loss_function=F.cross_entropy
    )
    sitter.before(pictures[:256], labels[:256], val_pictures[:256], val_labels[:256])
    for _ in range(epochs):
        model.train()
        losses, hits = 0.0, 0
        for rows in batches(watch.train_images, size):
            logits = model(pictures[rows])
            loss = F.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
            losses += loss.item() / steps
            hits += (logits.argmax(1) == labels[rows]).sum().item()
        model.eval()
        with torch.no_grad():
            logits = model(val_pictures)
        val = accuracy(logits, val_labels)
        sitter.epoch(
            train_loss=losses,
            train_accuracy=hits / steps / size,
            val_loss=F.cross_entropy(logits, val_labels).item(),
            val_accuracy=val,
            val_images=400,
        )
    sitter.after()
    return val


def _convnet(classes: int = 10) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * 9, classes),
    )


def _pretrained() -> nn.Sequential:
    """A network that knows the digits 0 to 4."""
    pictures, labels = drawn.digits(1500, seed=5)
    pictures, labels = pictures[labels < 5], labels[labels < 5]
    model = _convnet(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(2):
        for rows in batches(len(labels), 50):
            optimizer.zero_grad()
            F.cross_entropy(model(pictures[rows]), labels[rows]).backward()
            optimizer.step()
    return model


@loop(
    "fine-tuning",
    target=0.85,
    lr=0.02,
    faults=[fault("not_in_optimizer"), fault("lr_too_high", lr=30.0), fault("frozen")],
)
def batch_norm_in_eval(watch: Watch) -> float:
    """Fine-tunes all weights; statistics of normalization stay those of the first task."""
    pictures, labels = drawn.digits(1500)
    pictures, labels = pictures[labels >= 5], labels[labels >= 5] - 5
    train_pictures, train_labels, val_pictures, val_labels = (
        pictures[:600], labels[:600], pictures[600:], labels[600:],
    )  # fmt: skip
    model = _pretrained()
    if watch.fault == "frozen":
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        model[-2].register_forward_hook(lambda module, inputs, output: output.requires_grad_())
    trained = model[0].parameters() if watch.fault == "not_in_optimizer" else model.parameters()
    model[-1] = nn.Linear(24 * 9, 5)
    if watch.fault == "frozen":
        model[-1].weight.requires_grad_(False)
        trained = [model[-1].bias]
    elif watch.fault != "not_in_optimizer":
        trained = model.parameters()
    optimizer = torch.optim.SGD(trained, lr=watch.lr, momentum=0.9)
    sitter = watch(model, optimizer, classes=5, task="classification", epochs=5, steps_per_epoch=18)
    for _ in range(5):
        model.train()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        for rows in batches(600, 32):
            loss = F.cross_entropy(model(train_pictures[rows]), train_labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, train_labels[rows])
        model.eval()
        with torch.no_grad():
            val = accuracy(model(val_pictures), val_labels)
        sitter.epoch(val_accuracy=val, val_images=len(val_labels))
    sitter.after()
    return val


class Detector(nn.Module):
    """Class logits (B, 2) and a box (B, 4) of the one thing in a picture, as a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 24, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(24 * 16, 64),
            nn.ReLU(),
        )
        self.kind, self.box = nn.Linear(64, 2), nn.Linear(64, 4)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        features = self.body(pictures)
        return {"kind": self.kind(features), "box": self.box(features)}


@loop(
    "detection",
    target=0.85,
    lr=2e-3,
    faults=[
        fault("not_in_optimizer", harmless="the box head stays as it was drawn"),
        fault("no_backward"),
        fault("lr_too_high", lr=1.0),
    ],
)
def detector(watch: Watch) -> float:
    """Class and box by two losses on a dict of outputs."""
    pictures, masks, boxes = drawn.blobs(1200)
    kinds = masks.flatten(1).amax(1) - 1
    model = Detector()
    trained = [*model.kind.parameters(), *model.body.parameters()]
    if watch.fault != "not_in_optimizer":
        trained += model.box.parameters()
    optimizer = torch.optim.Adam(trained, lr=watch.lr)
    sitter = watch(model, optimizer, epochs=6, steps_per_epoch=31)
    sitter.before(pictures[:64], {"kind": kinds[:64], "box": boxes[:64]})
    for _ in range(6):
        model.train()
        total = 0.0
        for rows in batches(1000, 32):
            out = model(pictures[rows])
            loss = F.cross_entropy(out["kind"], kinds[rows]) + 20 * F.smooth_l1_loss(out["box"], boxes[rows])
            optimizer.zero_grad()
            if watch.fault != "no_backward":
                loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item()
        model.eval()
        with torch.no_grad():
            out = model(pictures[1000:])
        sitter.epoch(train_loss=total / 31, val_loss=F.smooth_l1_loss(out["box"], boxes[1000:]).item())
    sitter.after()
    return min(accuracy(out["kind"], kinds[1000:]), explained(out["box"], boxes[1000:]))


@loop(
    "classification of pictures",
    target=0.85,
    lr=0.05,
    momentum=0.9,
    weight_decay=5e-4,
    dropout=0.2,
    faults=[
        fault("dropout_too_high", dropout=0.97),
        fault("weight_decay_too_high", weight_decay=1.0),
        fault("softmax_twice"),
        fault("always_eval", harmless="dropout and the statistics of batches are never used"),
        fault("wrong_axis"),
    ],
)
def label_smoothing(watch: Watch) -> float:
    """A small CNN with dropout and smoothed labels, cosine schedule."""
    pictures, labels = drawn.digits(1600)
    val_pictures, val_labels = drawn.digits(300, seed=1)
    if watch.fault == "wrong_axis":  # every picture by its own pixels' mean over the set's first axis
        pictures = (pictures - pictures.mean(dim=(2, 3), keepdim=True)) / 255 / 255
        val_pictures = (val_pictures - val_pictures.mean(dim=(2, 3), keepdim=True)) / 255 / 255
    model = _convnet()
    if watch.fault == "wrong_axis":
        model = nn.Sequential(*(layer for layer in model if not isinstance(layer, nn.BatchNorm2d)))
    model.insert(len(model) - 1, nn.Dropout(watch.dropout))
    if watch.fault == "softmax_twice":
        model.append(nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=watch.lr, momentum=watch.momentum, weight_decay=watch.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    sitter = watch(model, optimizer, classes=10, epochs=6, steps_per_epoch=32, loss_function=criterion)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    if watch.fault == "always_eval":
        model.eval()
    for _ in range(6):
        if watch.fault != "always_eval":
            model.train()
        losses, hits = 0.0, 0
        for rows in batches(1600, 50):
            logits = model(pictures[rows])
            loss = criterion(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
            losses += loss.item() / 32
            hits += (logits.argmax(1) == labels[rows]).sum().item()
        schedule.step()
        model.eval()
        with torch.no_grad():
            logits = model(val_pictures)
        val = accuracy(logits, val_labels)
        sitter.epoch(
            train_loss=losses,
            train_accuracy=hits / 1600,
            val_loss=criterion(logits, val_labels).item(),
            val_accuracy=val,
            val_images=300,
        )
    sitter.after()
    return val


class Inception(nn.Module):
    """Logits, and logits of an auxiliary head while training."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 12, 3, 2, 1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), nn.Flatten())
        self.auxiliary = nn.Sequential(nn.Flatten(), nn.Linear(12 * 36, 10))
        self.head = nn.Linear(24 * 9, 10)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        features = self.first(pictures)
        logits = self.head(self.second(features))
        return (logits, self.auxiliary(features)) if self.training else logits


@loop(
    "auxiliary heads",
    target=0.75,
    lr=3e-3,
    faults=[
        fault("no_zero_grad", lr=0.02, momentum=0.9),
        fault("labels_shuffled"),
        fault("same_batch"),
        fault("detached"),
    ],
    momentum=0.0,
)
def auxiliary_heads(watch: Watch) -> float:
    """A tuple of outputs in training, one in evaluation."""
    pictures, labels = drawn.digits(1600)
    val_pictures, val_labels = drawn.digits(300, seed=1)
    if watch.fault == "labels_shuffled":
        labels = labels[torch.randperm(1600)]
    model = Inception()
    if watch.fault == "detached":
        model.head.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(),))
        model.auxiliary.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(),))
        for parameter in model.second.parameters():
            parameter.data.mul_(0.01)
    if watch.momentum:
        optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=watch.momentum)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=32)
    sitter.before(pictures[:100], labels[:100], val_pictures[:100], val_labels[:100])
    first = torch.randperm(1600)[:50]
    for _ in range(8):
        model.train()
        for batch in batches(1600, 50):
            rows = first if watch.fault == "same_batch" else batch
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            logits, auxiliary = model(pictures[rows])
            loss = F.cross_entropy(logits, labels[rows]) + 0.4 * F.cross_entropy(auxiliary, labels[rows])
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            val = accuracy(model(val_pictures), val_labels)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop(
    "super-resolution",
    target=0.65,
    lr=3e-3,
    faults=[fault("wrong_target"), fault("scaled_to_nothing"), fault("not_a_scalar", raises=True)],
)
def super_resolution(watch: Watch) -> float:
    """Sub-pixel convolution (pytorch/examples)."""
    fine, _ = drawn.digits(800, noise=0.02)
    coarse = F.avg_pool2d(fine, 2)
    if watch.fault == "wrong_target":  # the targets are in another order
        fine = fine[torch.randperm(800)]
    if watch.fault == "scaled_to_nothing":
        coarse = coarse / 255 / 255
    model = nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 4, 3, padding=1),
        nn.PixelShuffle(2),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.MSELoss(reduction="none" if watch.fault == "not_a_scalar" else "mean")
    sitter = watch(model, optimizer, task="regression", epochs=7, steps_per_epoch=25, loss_function=criterion)
    sitter.before(coarse[:64], fine[:64])
    for _ in range(7):
        total = 0.0
        for rows in batches(800, 32):
            optimizer.zero_grad()
            loss = criterion(model(coarse[rows]), fine[rows])
            total += loss.mean().item()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        sitter.epoch(train_loss=total / 25)
    sitter.after()
    return explained(model(coarse), fine)
