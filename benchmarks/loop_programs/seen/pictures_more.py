"""Pictures again: attacks, teachers, an order of classes, very short trainings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class Points(nn.Module):
    """Coordinates (B, 2) as the mean of a softmax over the places of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 16, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 1, 5, padding=2),
        )
        self.dim = 1

    def forward(self, pictures: Tensor) -> Tensor:
        shares = self.layers(pictures).flatten(1).softmax(self.dim)
        places = torch.cartesian_prod(torch.arange(16.0), torch.arange(16.0)) / 16
        return shares @ places


@loop(
    "key points",
    target=0.9,
    lr=3e-3,
    faults=[
        fault("zero_init"),
        fault("softmax_over_batch", "ignores_input"),
        fault("graph_kept", harmless="the sum of losses keeps all graphs"),
    ],
)
def keypoints(watch: Watch) -> float:
    """The center of a blob by a soft argmax."""
    pictures, _, boxes = drawn.blobs(1000)
    centers = boxes[:, :2]
    model = Points()
    if watch.fault == "zero_init":
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    if watch.fault == "softmax_over_batch":
        model.dim = 0
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=4, steps_per_epoch=25)
    sitter.before(pictures[:64], centers[:64])
    for _ in range(4):
        total = 0.0
        for rows in batches(800, 32):
            loss = F.mse_loss(model(pictures[rows]), centers[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += (loss if watch.fault == "graph_kept" else loss.item()) / 25
        with torch.no_grad():
            found = model(pictures[800:])
        sitter.epoch(train_loss=float(total), val_loss=F.mse_loss(found, centers[800:]).item())
    sitter.after()
    return explained(found, centers[800:])


def _network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * 9, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


@loop(
    "adversarial training", target=0.7, lr=3e-3, faults=[fault("no_zero_grad"), fault("validation_differs")]
)
def adversarial_training(watch: Watch) -> float:
    """FGSM: each step attacks the pictures, then learns from them."""
    pictures, labels = drawn.digits(1200, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    if watch.fault == "validation_differs":
        val_pictures = val_pictures * 255
    model = _network()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=6, steps_per_epoch=24, loss_function=F.cross_entropy)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(6):
        model.train()
        for rows in batches(1200, 50):
            attacked = pictures[rows].clone().requires_grad_()
            gradient = torch.autograd.grad(F.cross_entropy(model(attacked), labels[rows]), attacked)[0]
            attacked = (attacked + 0.03 * gradient.sign()).clamp(0, 1).detach()
            loss = F.cross_entropy(model(attacked), labels[rows])
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            logits = model(val_pictures)
        val = accuracy(logits, val_labels)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_labels).item(), val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop("distillation", target=0.8, lr=3e-3, faults=[fault("not_in_optimizer"), fault("softmax_twice")])
def distillation(watch: Watch) -> float:
    """A small student learns a teacher's soft answers (PyTorch tutorial)."""
    pictures, labels = drawn.digits(1200, noise=0.05)
    val_pictures, val_labels = drawn.digits(300, seed=1, noise=0.05)
    teacher = _network()
    teaching = torch.optim.Adam(teacher.parameters(), lr=3e-3)
    for _ in range(5):
        for rows in batches(1200, 50):
            teaching.zero_grad()
            F.cross_entropy(teacher(pictures[rows]), labels[rows]).backward()
            teaching.step()
    teacher.eval()
    student = nn.Sequential(nn.Flatten(), nn.Linear(144, 48), nn.ReLU(), nn.Linear(48, 10))
    if watch.fault == "softmax_twice":
        student.append(nn.Softmax(dim=1))
    trained = teacher.parameters() if watch.fault == "not_in_optimizer" else student.parameters()
    optimizer = torch.optim.Adam(trained, lr=watch.lr)
    temperature = 2.0
    sitter = watch(student, optimizer, classes=10, epochs=12, steps_per_epoch=24)
    sitter.before(pictures[:128], labels[:128], val_pictures[:128], val_labels[:128])
    for _ in range(12):
        student.train()
        for rows in batches(1200, 50):
            with torch.no_grad():
                soft = (teacher(pictures[rows]) / temperature).softmax(1)
            logits = student(pictures[rows])
            distilled = F.kl_div((logits / temperature).log_softmax(1), soft, reduction="batchmean")
            loss = 0.5 * temperature**2 * distilled + 0.5 * F.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        student.eval()
        with torch.no_grad():
            val = accuracy(student(val_pictures), val_labels)
        sitter.epoch(val_accuracy=val, val_images=300)
    sitter.after()
    return val


@loop("order of classes", target=0.75, lr=3e-3)
def class_incremental(watch: Watch) -> float:
    """Digits come two classes at a time; old ones are repeated from a memory."""
    pictures, labels = drawn.digits(2000, noise=0.05)
    val_pictures, val_labels = drawn.digits(400, seed=1, noise=0.05)
    model = _network()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=15, steps_per_epoch=15)
    for stage in range(5):
        known = (labels < 2 * stage + 2).nonzero().flatten()
        new = known[labels[known] >= 2 * stage]
        memory = known[labels[known] < 2 * stage]
        for _ in range(3):
            model.train()
            for _ in range(15):
                rows = new[torch.randint(len(new), (12,))]
                if len(memory):
                    rows = torch.cat([rows, memory[torch.randint(len(memory), (36,))]])
                loss = F.cross_entropy(model(pictures[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                sitter.step(loss, labels[rows])
            model.eval()
            with torch.no_grad():
                val = accuracy(model(val_pictures), val_labels)
            sitter.epoch(val_accuracy=val, val_images=400)
    sitter.after()
    return val


def _shaded(count: int, seed: int) -> TensorDataset:
    pictures, labels = drawn.digits(count, seed=seed)
    return TensorDataset((pictures - 0.3) / 0.3, labels)


@loop(
    "short training",
    target=0.5,
    lr=0.05,
    faults=[
        fault("schedule_per_batch"),
        fault("lr_too_low", lr=1e-5),
        fault("lr_too_high", lr=30.0),
        fault("labels_shuffled"),
        fault("not_shuffled"),
    ],
)
def one_epoch(watch: Watch) -> float:
    """One epoch of 60 steps, with a loader."""
    data = _shaded(1920, 0)
    pictures, labels = data.tensors
    if watch.fault == "labels_shuffled":
        data = TensorDataset(pictures, labels[torch.randperm(1920)])
    if watch.fault == "not_shuffled":
        data = TensorDataset(pictures[labels.argsort()], labels.sort().values)
    loader = DataLoader(data, batch_size=32, shuffle=watch.fault != "not_shuffled")
    val_pictures, val_labels = _shaded(400, 1).tensors
    model = _network()
    model.insert(1, nn.BatchNorm2d(12))
    model.insert(5, nn.BatchNorm2d(24))
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    sitter = watch(
        model, optimizer, classes=10, epochs=1, steps_per_epoch=len(loader), loss_function=F.cross_entropy
    )
    sitter.before(*data[:128], val_pictures[:128], val_labels[:128])
    model.train()
    losses = 0.0
    for batch, answers in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch), answers)
        loss.backward()
        optimizer.step()
        sitter.step(loss, answers)
        losses += loss.item() / len(loader)
        if watch.fault == "schedule_per_batch":
            schedule.step()
    schedule.step()
    model.eval()
    with torch.no_grad():
        logits = model(val_pictures)
    val = accuracy(logits, val_labels)
    sitter.epoch(
        train_loss=losses,
        val_loss=F.cross_entropy(logits, val_labels).item(),
        val_accuracy=val,
        val_images=400,
    )
    sitter.after()
    return val


@loop("short training", target=0.5, lr=1e-3, evidence=False)
def smoke_run(watch: Watch) -> float:
    """Four steps to see that it runs."""
    pictures, labels = drawn.digits(200)
    model = _network()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10)
    model.train()
    for rows in torch.arange(200).split(50):
        loss = F.cross_entropy(model(pictures[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    return accuracy(model(pictures), labels)
