"""Pictures: tutorials, residual networks, transfer, cut and mix, masks, grids of boxes."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


class Net(nn.Module):
    """Two convolutions and three linear layers, as in the tutorial on CIFAR10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 3, padding=1)
        self.fc1 = nn.Linear(16 * 2 * 2, 64)
        self.fc2 = nn.Linear(64, 32)
        self.fc3 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


@loop(
    "tutorials",
    target=0.7,
    lr=0.02,
    momentum=0.9,
    faults=[
        fault("momentum_too_high", momentum=0.9999),
        fault("not_shuffled"),
        fault("dead_biases"),
        fault("sum_reduction"),
        fault("no_zero_grad"),
    ],
)
def sixty_minutes(watch: Watch) -> float:
    """The loop of the PyTorch tutorial 'Training a classifier': running loss, no validation till the end."""
    images, labels = drawn.digits(1500, noise=0.08)
    images = (images - 0.5) / 0.5
    if watch.fault == "not_shuffled":
        order = labels.argsort()
        images, labels = images[order], labels[order]
    trainset = TensorDataset(images, labels)
    trainloader = DataLoader(trainset, batch_size=20, shuffle=watch.fault != "not_shuffled")
    net = Net()
    if watch.fault == "dead_biases":
        nn.init.constant_(net.fc1.bias, -50.0)
    reduction = "sum" if watch.fault == "sum_reduction" else "mean"
    criterion = nn.CrossEntropyLoss(reduction=reduction)
    optimizer = torch.optim.SGD(net.parameters(), lr=watch.lr, momentum=watch.momentum)
    sitter = watch(net, optimizer, classes=10, epochs=8, steps_per_epoch=75, loss_function=criterion)
    for _epoch in range(8):  # loop over the dataset multiple times
        running_loss = 0.0
        for _i, data in enumerate(trainloader, 0):
            inputs, targets = data
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            sitter.step(loss, targets)
        sitter.epoch(train_loss=running_loss / 75)
    sitter.after()
    test_images, test_labels = drawn.digits(400, seed=1, noise=0.08)
    with torch.no_grad():
        return accuracy(net((test_images - 0.5) / 0.5), test_labels)


def _conv_bn(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(True)
    )


class Residual(nn.Module):
    """Adds what it was given."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


@loop(
    "residual networks",
    target=0.92,
    lr=0.1,
    size=50,
    faults=[
        fault("always_eval", harmless="the batch norms never see a batch"),
        fault("validates_in_training_mode"),
        fault("small_batches", size=2),
        fault("lr_too_high", lr=400.0),
    ],
)
def resnet9(watch: Watch) -> float:
    """DAWNBench style: batch norms, one cycle, Nesterov, weight decay."""
    x, y = drawn.digits(1000, noise=0.1)
    val_x, val_y = drawn.digits(300, seed=1, noise=0.1)
    if watch.fault == "validates_in_training_mode":  # comes in the order of the classes
        order = val_y.argsort()
        val_x, val_y = val_x[order], val_y[order]
    model = nn.Sequential(
        _conv_bn(1, 8), nn.MaxPool2d(2), Residual(nn.Sequential(_conv_bn(8, 8), _conv_bn(8, 8))),
        _conv_bn(8, 24), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24 * 9, 10),
    )  # fmt: skip
    steps = min(200, 1000 // watch.size)
    opt = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, watch.lr, total_steps=6 * steps)
    sitter = watch(model, opt, classes=10, epochs=6, steps_per_epoch=steps)
    sitter.before(x[:200], y[:200], val_x, val_y)
    for _ in range(6):
        model.train(watch.fault != "always_eval")
        for rows in torch.randperm(1000).split(watch.size)[:steps]:
            loss = F.cross_entropy(model(x[rows]), y[rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            sitter.step(loss, y[rows])
        if watch.fault != "validates_in_training_mode":
            model.eval()
        with torch.no_grad():
            logits = torch.cat([model(part) for part in val_x.split(15)])
        val = accuracy(logits, val_y)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_y).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop(
    "transfer",
    target=0.6,
    lr=0.01,
    faults=[fault("optimizer_of_old_model"), fault("wrong_axis"), fault("labels_shuffled")],
)
def transfer(watch: Watch) -> float:
    """Features of a network for ten digits, frozen; a new last layer tells odd, even and small apart."""
    x, y = drawn.digits(1200, noise=0.05)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(144, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU())
    old = nn.Sequential(backbone, nn.Linear(48, 10))
    before = torch.optim.Adam(old.parameters(), lr=3e-3)
    for _ in range(120):
        rows = torch.randint(1200, (60,))
        before.zero_grad()
        F.cross_entropy(old(x[rows]), y[rows]).backward()
        before.step()

    images, digits = drawn.digits(1000, seed=3, noise=0.05)
    labels = torch.where(digits < 4, torch.tensor(2), digits % 2)
    train_images = images[:700]
    if watch.fault == "wrong_axis":  # rows and columns
        train_images = train_images.transpose(2, 3)
    if watch.fault == "labels_shuffled":
        labels[:700] = labels[torch.randperm(700)]
    for param in old.parameters():
        param.requires_grad = False
    model = nn.Sequential(backbone, nn.Linear(48, 3))
    head = old[1] if watch.fault == "optimizer_of_old_model" else model[1]
    optimizer = torch.optim.SGD(head.parameters(), lr=watch.lr, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.3)
    dataloaders = {"train": (train_images, labels[:700]), "val": (images[700:], labels[700:])}
    sitter = watch(model, optimizer, classes=3, epochs=8, steps_per_epoch=28)
    sitter.before(*[part[:200] for part in dataloaders["train"]], *dataloaders["val"])
    best, best_state = 0.0, copy.deepcopy(model.state_dict())
    for _ in range(8):
        model.train()
        part_x, part_y = dataloaders["train"]
        for rows in torch.randperm(700).split(25):
            with torch.set_grad_enabled(True):
                outputs = model(part_x[rows])
                loss = F.cross_entropy(outputs, part_y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            sitter.step(loss, part_y[rows])
        scheduler.step()
        model.eval()
        with torch.no_grad():
            outputs = model(dataloaders["val"][0])
        acc = accuracy(outputs, labels[700:])
        sitter.epoch(val_loss=F.cross_entropy(outputs, labels[700:]).item(), val_accuracy=acc, val_images=300)
        if acc > best:
            best, best_state = acc, copy.deepcopy(model.state_dict())
    sitter.after()
    model.load_state_dict(best_state)
    with torch.no_grad():
        return accuracy(model(images[700:]), labels[700:])


@loop(
    "mixed pictures",
    target=0.77,
    lr=0.01,
    faults=[fault("wrong_target"), fault("softmax_twice"), fault("saturated")],
)
def cutmix(watch: Watch) -> float:
    """Boxes of other pictures are pasted in; the labels are mixed by area, after label smoothing."""
    x, y = drawn.digits(1400, noise=0.05)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3), nn.Tanh(),
        nn.Flatten(), nn.Linear(24 * 16, 10),
    )  # fmt: skip
    if watch.fault == "saturated":
        with torch.no_grad():
            model[0].bias.copy_(40 * torch.randn(12).sign())
            model[3].bias.copy_(40 * torch.randn(24).sign())
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr / 2)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    sitter = watch(model, optimizer, classes=10, epochs=9, steps_per_epoch=24)
    for _ in range(9):
        for rows in torch.randperm(1200).split(50):
            images, target = x[rows].clone(), y[rows]
            other = torch.randperm(50)
            top, left = torch.randint(7, (2,)).tolist()
            images[:, :, top : top + 6, left : left + 6] = images[other, :, top : top + 6, left : left + 6]
            lam = 1 - 36 / 144
            if watch.fault == "wrong_target":  # shuffled once more
                lam, target = 0.5, target[torch.randperm(50)]
            output = model(images)
            if watch.fault == "softmax_twice":
                output = output.softmax(1)
            loss = lam * criterion(output, target) + (1 - lam) * criterion(output, target[other])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, target)
        with torch.no_grad():
            logits = model(x[1200:])
        val = accuracy(logits, y[1200:])
        sitter.epoch(train_loss=loss.item(), val_accuracy=val, val_images=200)
    sitter.after()
    return val


@loop(
    "segmentation",
    target=0.75,
    lr=5e-3,
    faults=[
        fault("labels_out_of_range", "wrong_loss"),
        fault("wrong_sign"),
        fault("validation_differs"),
        fault("not_in_optimizer"),
    ],
)
def dice(watch: Watch) -> float:
    """Binary masks: dice and cross entropy together, as on many a leaderboard."""
    x, masks, _ = drawn.blobs(700)
    masks = (masks > 0).float().unsqueeze(1)
    y = masks * 255 if watch.fault == "labels_out_of_range" else masks  # read from a PNG
    val_x = x[600:]
    if watch.fault == "validation_differs":  # white is ink
        val_x = 1 - val_x
    down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
    up = nn.Sequential(nn.ConvTranspose2d(16, 8, 2, 2), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
    model = nn.Sequential(down, up)
    part = [up[2].bias] if watch.fault == "not_in_optimizer" else model.parameters()
    optimizer = torch.optim.Adam(part, lr=watch.lr)
    sitter = watch(model, optimizer, task="segmentation", classes=2, epochs=6, steps_per_epoch=30)
    sitter.before(x[:100], y[:100], val_x, y[600:])

    def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
        chance = logits.sigmoid()
        return 1 - (2 * (chance * target).sum() + 1) / (chance.sum() + target.sum() + 1)

    for _ in range(6):
        for rows in torch.randperm(600).split(20):
            logits = model(x[rows])
            sign = -1 if watch.fault == "wrong_sign" else 1
            loss = F.binary_cross_entropy_with_logits(logits, y[rows]) + sign * 2 * dice_loss(logits, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            logits = model(val_x)
        sitter.epoch(val_loss=F.binary_cross_entropy_with_logits(logits, y[600:]).item())
    sitter.after()
    guess, truth = logits > 0, masks[600:] > 0
    return float((guess & truth).sum() / (guess | truth).sum())


class Detections(NamedTuple):
    """Objectness logits (B, 4, 4), offsets (B, 4, 4, 2) and class logits (B, 4, 4, 2)."""

    objectness: Tensor
    offsets: Tensor
    classes: Tensor


class YoloHead(nn.Module):
    """A grid of cells, each with five numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Conv2d(32, 5, 1)

    def forward(self, x: Tensor) -> Detections:
        out = self.head(self.body(x)).permute(0, 2, 3, 1)
        return Detections(out[..., 0], out[..., 1:3], out[..., 3:])


@loop(
    "detection",
    target=0.87,
    lr=5e-3,
    faults=[fault("detached"), fault("labels_shuffled"), fault("wrong_target"), fault("lr_too_high", lr=3.0)],
)
def grid_detector(watch: Watch) -> float:
    """YOLO in small: the cell in which a center lies says where and what it is."""
    x, masks, boxes = drawn.blobs(1400)
    kinds = masks.flatten(1).amax(1) - 1
    centers = boxes[:, :2] * 4
    cells, offsets = centers.floor().long(), centers - centers.floor()
    if watch.fault == "wrong_target":  # x and y change places where the grid is filled
        cells = cells.flip(1)
    if watch.fault == "labels_shuffled":
        order = torch.cat([torch.randperm(1200), torch.arange(1200, 1400)])
        cells, offsets, kinds = cells[order], offsets[order], kinds[order]
    model = YoloHead()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr / 2)
    sitter = watch(model, optimizer, epochs=8, steps_per_epoch=24)

    def losses(rows: Tensor) -> Tensor:
        found = model(x[rows])
        if watch.fault == "detached":  # the loss is put together from numbers
            found = Detections(*(torch.tensor(part.tolist(), requires_grad=True) for part in found))
        index = torch.arange(len(rows))
        down, right = cells[rows].unbind(1)
        there = torch.zeros(len(rows), 4, 4)
        there[index, down, right] = 1
        return (
            F.binary_cross_entropy_with_logits(found.objectness, there)
            + 5 * F.mse_loss(found.offsets[index, down, right], offsets[rows])
            + F.cross_entropy(found.classes[index, down, right], kinds[rows])
        )

    for _ in range(8):
        for rows in torch.randperm(1200).split(50):
            loss = losses(rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            sitter.epoch(train_loss=loss.item(), val_loss=losses(torch.arange(1200, 1400)).item())
    sitter.after()
    with torch.no_grad():
        found = model(x[1200:])
    best = found.objectness.flatten(1).argmax(1)
    down, right = best // 4, best % 4
    index = torch.arange(200)
    places = torch.stack([down, right], 1) + found.offsets[index, down, right]
    close = (places - centers[1200:]).norm(dim=1) < 0.4
    kind = found.classes[index, down, right].argmax(1) == (masks.flatten(1).amax(1) - 1)[1200:]
    return float((close & kind).float().mean())
