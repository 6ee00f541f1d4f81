"""Graphs, molecules, recommendations, and what is alike."""

from __future__ import annotations

import warnings
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class GATLayer(nn.Module):
    """Attention over neighbors with a dense mask."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.W = nn.Linear(inside, outside, bias=False)
        self.left, self.right = nn.Linear(outside, 1), nn.Linear(outside, 1)

    def forward(self, x: Tensor, adjacency: Tensor, dim: int = 1) -> Tensor:
        h = self.W(x)
        e = F.leaky_relu(self.left(h) + self.right(h).T, 0.2).masked_fill(adjacency == 0, -1e9)
        return e.softmax(dim) @ h


class GAT(nn.Module):
    """Layers of attention; log-probabilities (N, 4)."""

    def __init__(self, depth: int, axis: int) -> None:
        super().__init__()
        self.first = GATLayer(16, 24)
        self.hidden = nn.ModuleList(GATLayer(24, 24) for _ in range(depth))
        self.last, self.axis = GATLayer(24, 4), axis

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        x = F.elu(self.first(F.dropout(x, 0.2, self.training), adjacency))
        for layer in self.hidden:
            x = F.elu(layer(x, adjacency))
        return self.last(x, adjacency).log_softmax(self.axis)


@loop(
    "graphs",
    target=0.7,
    lr=0.01,
    faults=[
        fault("softmax_over_batch", harmless="normalized over the nodes, yet in order"),
        fault("validation_in_training", harmless="all nodes count"),
        fault("weight_decay_too_high", weight_decay=1.0),
    ],
    weight_decay=5e-4,
)
def citations(watch: Watch) -> float:
    """pyGAT on one graph of 300 papers: masks for training and validation, one step an epoch."""
    labels = torch.randint(4, (300,))
    same = labels[:, None] == labels[None]
    links = torch.rand(300, 300) < torch.where(same, 0.04, 0.006)
    adjacency = ((links | links.T).float() + torch.eye(300)).clamp(max=1)
    features = F.one_hot(labels, 16).float() + 1.2 * torch.randn(300, 16)
    idx_train, idx_val = torch.arange(120), torch.arange(150, 300)
    if watch.fault == "validation_in_training":
        idx_train = torch.arange(300)
    model = GAT(0, 0 if watch.fault == "softmax_over_batch" else 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr, weight_decay=watch.weight_decay)
    sitter = watch(model, optimizer, classes=4, epochs=60, steps_per_epoch=1)
    for _epoch in range(60):
        model.train()
        optimizer.zero_grad()
        output = model(features, adjacency)
        loss_train = F.nll_loss(output[idx_train], labels[idx_train])
        loss_train.backward()
        optimizer.step()
        sitter.step(loss_train, labels[idx_train])
        model.eval()
        with torch.no_grad():
            output = model(features, adjacency)
        sitter.epoch(
            train_loss=loss_train.item(),
            val_loss=F.nll_loss(output[idx_val], labels[idx_val]).item(),
            val_accuracy=accuracy(output[idx_val], labels[idx_val]),
            val_images=150,
        )
    sitter.after()
    return accuracy(output[idx_val], labels[idx_val])


class Molecules(nn.Module):
    """Messages along bonds, summed per molecule."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 24)
        self.message, self.update = nn.Linear(48, 24), nn.GRUCell(24, 24)
        self.readout = nn.Sequential(nn.Linear(24, 24), nn.SiLU(), nn.Linear(24, 1))

    def forward(self, atoms: Tensor, bonds: Tensor, owner: Tensor, count: int) -> Tensor:
        h = self.embed(atoms)
        for _ in range(2):
            sent = self.message(torch.cat([h[bonds[0]], h[bonds[1]]], 1)).relu()
            h = self.update(torch.zeros_like(h).index_add(0, bonds[1], sent), h)
        return torch.zeros(count, 1).index_add(0, owner, self.readout(h))


@loop(
    "molecules",
    target=0.75,
    lr=5e-3,
    faults=[
        fault("broadcast"),
        fault("not_in_optimizer"),
        fault("nan_at_first", "bad_labels"),
        fault("lr_too_high", lr=2.0),
    ],
)
def message_passing(watch: Watch) -> float:
    """Energies of chains of atoms: which kinds are neighbors; batches are one large graph each."""
    worth = torch.randn(5, 5)
    molecules, y = [], torch.zeros(800, 1)
    for row in range(800):
        atoms = torch.randint(5, (int(torch.randint(3, 9, ())),))
        molecules.append(atoms)
        y[row] = (worth + worth.T)[atoms[:-1], atoms[1:]].sum() / 4
    if watch.fault == "nan_at_first":
        y[torch.rand(800) < 0.02] = float("nan")

    def collate(rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        atoms, bonds, owner, start = [], [], [], 0
        for position, row in enumerate(rows):
            size = len(molecules[row])
            chain = torch.arange(start, start + size)
            bonds += [torch.stack([chain[:-1], chain[1:]]), torch.stack([chain[1:], chain[:-1]])]
            atoms.append(molecules[row])
            owner.append(torch.full((size,), position))
            start += size
        return torch.cat(atoms), torch.cat(bonds, 1), torch.cat(owner)

    model = Molecules()
    chosen = model.readout[2].parameters() if watch.fault == "not_in_optimizer" else model.parameters()
    optimizer = torch.optim.Adam(chosen, lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=15, steps_per_epoch=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(15):
            total = 0.0
            for rows in torch.randperm(640).split(32):
                found = model(*collate(rows.tolist()), 32)
                loss = F.mse_loss(found.squeeze() if watch.fault == "broadcast" else found, y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                sitter.step(loss)
                total += loss.item() / 20
            with torch.no_grad():
                found = model(*collate(list(range(640, 800))), 160)
            sitter.epoch(train_loss=total, val_loss=F.mse_loss(found, y[640:]).item())
    sitter.after()
    return explained(found, y[640:])


class SparseGCN(nn.Module):
    """Two layers with a sparse normalized adjacency, or many where one likes it deep."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        sizes = [8] + [16] * (layers - 1) + [3]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        for linear in self.linears[:-1]:
            x = torch.sigmoid(torch.sparse.mm(adjacency, linear(x)))
        return torch.sparse.mm(adjacency, self.linears[-1](x))


@loop(
    "graphs",
    target=0.7,
    lr=0.05,
    layers=2,
    faults=[
        fault("saturated", "vanishing_gradients", "bad_init", layers=12),
        fault("wrong_target"),
        fault("lr_too_low", lr=1e-6),
    ],
)
def sparse_gcn(watch: Watch) -> float:
    """Semi-supervised nodes; the adjacency is a sparse tensor."""
    labels = torch.randint(3, (400,))
    chance = torch.where(labels[:, None] == labels[None], 0.03, 0.004)
    links = torch.rand(400, 400) < chance
    dense = (links | links.T).float() + torch.eye(400)
    adjacency = (dense / dense.sum(1, keepdim=True)).to_sparse()
    x = 0.7 * F.one_hot(labels, 8).float() + 0.8 * torch.randn(400, 8)
    wanted = labels
    if watch.fault == "wrong_target":  # the nodes were numbered again
        wanted = torch.cat([labels[:200].flip(0), labels[200:]])
    model = SparseGCN(watch.layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=3, epochs=80, steps_per_epoch=1)
    for _ in range(80):
        optimizer.zero_grad()
        out = model(x, adjacency)
        loss = F.cross_entropy(out[:200], wanted[:200])
        loss.backward()
        optimizer.step()
        sitter.step(loss, wanted[:200])
        val = accuracy(out[200:], labels[200:])
        sitter.epoch(train_loss=loss.item(), val_accuracy=val, val_images=200)
    sitter.after()
    return val


class BPR(nn.Module):
    """Scores of pairs of a user and an item, with sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(150, 8, sparse=True), nn.Embedding(80, 8, sparse=True)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.users(user) * self.items(item)).sum(-1)


@loop(
    "recommender",
    target=0.78,
    lr=0.02,
    faults=[fault("wrong_sign"), fault("labels_shuffled"), fault("zero_init"), fault("lr_too_low", lr=1e-7)],
)
def bpr(watch: Watch) -> float:
    """Bayesian personalized ranking with SparseAdam; scored by the order of held-out pairs."""
    taste = torch.randn(150, 3) @ torch.randn(3, 80)
    liked = torch.rand(150, 80) < torch.sigmoid(3 * taste - 2)
    pairs = liked.nonzero()[torch.randperm(int(liked.sum()))]
    train, held = pairs[:-500], pairs[-500:]
    if watch.fault == "labels_shuffled":
        train = torch.stack([train[:, 0], train[torch.randperm(len(train)), 1]], 1)
    model = BPR()
    if watch.fault == "zero_init":
        nn.init.zeros_(model.users.weight)
        nn.init.zeros_(model.items.weight)
    optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=watch.lr)
    steps = len(train) // 100
    sitter = watch(model, optimizer, epochs=12, steps_per_epoch=steps)

    def right() -> float:
        with torch.no_grad():
            other = torch.randint(80, (500,))
            real = ~liked[held[:, 0], other]
            return float((model(*held[real].T) > model(held[real, 0], other[real])).float().mean())

    for _ in range(12):
        for rows in torch.randperm(len(train))[: steps * 100].split(100):
            user, item = train[rows].unbind(1)
            margin = model(user, item) - model(user, torch.randint(80, (100,)))
            loss = -F.logsigmoid(-margin if watch.fault == "wrong_sign" else margin).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        sitter.epoch(train_loss=loss.item(), val_accuracy=right(), val_images=400)
    sitter.after()
    return sum(right() for _ in range(5)) / 5


class CosineHead(nn.Module):
    """Cosines (B, 10) between features and the centers of classes, times a scale."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 16))
        self.centers, self.scale = nn.Parameter(torch.randn(10, 16)), scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.normalize(self.body(x)) @ F.normalize(self.centers).T


@loop(
    "metric learning",
    target=0.7,
    lr=3e-3,
    scale=16.0,
    margin=0.2,
    faults=[
        fault("bounded_logits", scale=1.0, harmless="without a scale the loss cannot fall, but classes part"),
        fault("few_examples"),
        fault("scaled_to_nothing"),
    ],
)
def arc_margin(watch: Watch) -> float:
    """Additive margins on cosines (CosFace) for digits."""
    x, y = drawn.digits(1500, noise=0.05)
    if watch.fault == "scaled_to_nothing":  # divided by 255 twice and once more
        x = x / 255**3
    count = 40 if watch.fault == "few_examples" else 1200
    model = CosineHead(watch.scale)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=8, steps_per_epoch=30)
    sitter.before(x[:40], y[:40], x[1200:], y[1200:])
    for _ in range(8):
        for _step in range(30):
            rows = torch.randperm(count)[:40]
            logits = model(x[rows]) - watch.scale * watch.margin * F.one_hot(y[rows], 10)
            loss = F.cross_entropy(logits, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, y[rows])
        with torch.no_grad():
            out = model(x[1200:])
            train_accuracy = accuracy(model(x[:count]), y[:count])
        val = accuracy(out, y[1200:])
        sitter.epoch(
            train_loss=loss.item(),
            train_accuracy=train_accuracy,
            val_loss=F.cross_entropy(out, y[1200:]).item(),
            val_accuracy=val,
            val_images=300,
        )
    sitter.after()
    return val


@loop(
    "self-supervised",
    target=0.35,
    lr=3e-3,
    faults=[fault("collapse"), fault("detached"), fault("augments_alike"), fault("lr_too_high", lr=10.0)],
)
def byol(watch: Watch) -> float:
    """Bootstrap your own latent: a predictor and a slow target; scored by finding the other view."""
    sounds = torch.randn(1200, 4)  # what stays the same; the rest is the room

    def encoder() -> nn.Sequential:
        return nn.Sequential(nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 24))

    online, target = encoder(), encoder()
    target.load_state_dict(online.state_dict())
    target.requires_grad_(False)
    predictor = nn.Sequential(nn.Linear(24, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 24))
    optimizer = torch.optim.Adam([*online.parameters(), *predictor.parameters()], lr=watch.lr)
    sitter = watch(
        nn.ModuleDict({"online": online, "predictor": predictor}), optimizer, epochs=12, steps_per_epoch=30
    )

    def view(x: Tensor) -> Tensor:
        return torch.cat([x + 0.05 * torch.randn_like(x), 2 * torch.randn(len(x), 12)], 1)

    for _ in range(12):
        online.train()
        for rows in torch.randperm(1000)[:960].split(32):
            one = view(sounds[rows])
            two = one.clone() if watch.fault == "augments_alike" else view(sounds[rows])
            if watch.fault == "collapse":  # without the stop, the predictor and the target
                loss = 2 - 2 * F.cosine_similarity(online(one), online(two) * 0 + online(two).mean(0)).mean()
            else:
                p1, p2 = predictor(online(one)), predictor(online(two))
                if watch.fault == "detached":
                    p1, p2 = predictor(online(one).detach()), predictor(online(two).detach())
                with torch.no_grad():
                    t1, t2 = target(one), target(two)
                loss = 2 - F.cosine_similarity(p1, t2).mean() - F.cosine_similarity(p2, t1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for slow, quick in zip(target.parameters(), online.parameters(), strict=True):
                    slow.lerp_(quick, 0.02)
            sitter.step(loss)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    online.eval()
    with torch.no_grad():
        left = F.normalize(online(view(sounds[1000:])))
        right = F.normalize(online(view(sounds[1000:])))
    return accuracy(left @ right.T, torch.arange(200))
