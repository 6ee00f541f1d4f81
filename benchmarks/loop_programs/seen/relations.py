"""Pairs, users and things, graphs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class Twins(nn.Module):
    """The same network for both pictures of a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(576, 64),
            nn.ReLU(),
            nn.Linear(64, 8),
        )

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return self.body(first), self.body(second)


@loop("siamese", target=0.8, lr=2e-3, faults=[fault("wrong_sign"), fault("labels_shuffled")])
def siamese(watch: Watch) -> float:
    """Contrastive loss: the same digit or not."""
    pictures, labels = drawn.digits(1500, noise=0.05)
    model = Twins()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)

    def contrastive(first: Tensor, second: Tensor, same: Tensor) -> Tensor:
        distance = F.pairwise_distance(first, second)
        near, far = distance**2, F.relu(1.5 - distance) ** 2
        if watch.fault == "wrong_sign":
            near, far = -near, -far
        return (same * near + (1 - same) * far).mean()

    def pair(of: Tensor) -> tuple[Tensor, Tensor]:
        others = torch.randint(1500, (len(of),))
        for row in range(0, len(of), 2):  # every second pair is of the same digit
            alike = (labels == labels[of[row]]).nonzero().flatten()
            others[row] = alike[torch.randint(len(alike), ())]
        return others, (labels[of] == labels[others]).float()

    sitter = watch(model, optimizer, epochs=10, steps_per_epoch=30)
    for _ in range(10):
        total = 0.0
        for rows in batches(1500, 50):
            others, same = pair(rows)
            if watch.fault == "labels_shuffled":
                same = same[torch.randperm(50)]
            loss = contrastive(*model(pictures[rows], pictures[others]), same)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, same)
            total += loss.item()
        sitter.epoch(train_loss=total / 30)
    sitter.after()
    with torch.no_grad():
        codes = model.body(pictures)
    distances, same = torch.cdist(codes[:200], codes[200:400]), labels[:200, None] == labels[200:400]
    near, far = distances[same][:600], distances[~same][:600]
    return float((near[:, None] < far[None, :]).float().mean())


class Factors(nn.Module):
    """Ratings as products of factors, with sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.users = nn.Embedding(100, 6, sparse=True)
        self.things = nn.Embedding(80, 6, sparse=True)
        nn.init.normal_(self.users.weight, 0, 0.5)
        nn.init.normal_(self.things.weight, 0, 0.5)

    def forward(self, user: Tensor, thing: Tensor) -> Tensor:
        return (self.users(user) * self.things(thing)).sum(1, keepdim=True)


@loop(
    "recommender",
    target=0.75,
    lr=0.02,
    faults=[fault("broadcast"), fault("lr_too_low", lr=1e-5), fault("not_in_optimizer"), fault("zero_init")],
)
def recommender(watch: Watch) -> float:
    """Matrix factorization with SparseAdam; output (B, 1)."""
    taste = torch.randn(100, 3, generator=torch.Generator().manual_seed(1))
    style = torch.randn(80, 3, generator=torch.Generator().manual_seed(2))
    users, things = torch.randint(100, (4000,)), torch.randint(80, (4000,))
    ratings = (taste[users] * style[things]).sum(1) + 0.1 * torch.randn(4000)
    model = Factors()
    if watch.fault == "zero_init":
        nn.init.zeros_(model.users.weight)
        nn.init.zeros_(model.things.weight)
    trained = [model.users.weight]
    if watch.fault != "not_in_optimizer":
        trained.append(model.things.weight)
    optimizer = torch.optim.SparseAdam(trained, lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=12, steps_per_epoch=37)
    for _ in range(12):
        total = 0.0
        for rows in batches(3800, 100):
            predicted = model(users[rows], things[rows])
            truth = ratings[rows] if watch.fault == "broadcast" else ratings[rows].unsqueeze(1)
            loss = ((predicted - truth) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, truth)
            total += loss.item()
        with torch.no_grad():
            predicted = model(users[3800:], things[3800:])
        sitter.epoch(train_loss=total / 38, val_loss=F.mse_loss(predicted[:, 0], ratings[3800:]).item())
    sitter.after()
    return explained(predicted, ratings[3800:])


@dataclass
class Graphs:
    """Several graphs as one: features (N, 3), edges (2, E), the graph (N,) of each node."""

    x: Tensor
    edges: Tensor
    graph: Tensor
    count: int


class Layer(nn.Module):
    """Adds up what the neighbours say."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own, self.others = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        told = torch.zeros_like(x).index_add_(0, edges[1], x[edges[0]])
        return F.relu(self.own(x) + self.others(told))


class GraphNet(nn.Module):
    """Logits (graphs, 3) of a batch of graphs."""

    def __init__(self, registered: bool = True) -> None:
        super().__init__()
        layers = [Layer(3, 24), Layer(24, 24)]
        self.layers = nn.ModuleList(layers) if registered else layers
        self.head = nn.Linear(24, 3)

    def forward(self, batch: Graphs) -> Tensor:
        x = batch.x
        for layer in self.layers:
            x = layer(x, batch.edges)
        return self.head(torch.zeros(batch.count, 24).index_add_(0, batch.graph, x) / 8)


def _graphs(kinds: Tensor) -> Graphs:
    """Rings, stars and complete graphs of 8 nodes."""
    edges, nodes = [], torch.arange(8)
    for number, kind in enumerate(kinds.tolist()):
        if kind == 0:
            pairs = torch.stack([nodes, (nodes + 1) % 8])
        elif kind == 1:
            pairs = torch.stack([torch.zeros(7, dtype=torch.long), nodes[1:]])
        else:
            pairs = torch.combinations(nodes).T
        pairs = pairs[:, torch.rand(pairs.shape[1]) < 0.85]
        edges.append(torch.cat([pairs, pairs.flip(0)], 1) + 8 * number)
    count = len(kinds)
    return Graphs(
        0.3 * torch.randn(8 * count, 3) + 1,
        torch.cat(edges, 1),
        torch.arange(count).repeat_interleave(8),
        count,
    )


@loop(
    "graphs",
    target=0.8,
    lr=5e-3,
    faults=[
        fault("not_registered"),
        fault("softmax_over_batch", harmless="with even batches it works by chance"),
        fault("no_log"),
    ],
)
def graph_batches(watch: Watch) -> float:
    """Classes of graphs; a batch is a dataclass."""
    model = GraphNet(registered=watch.fault != "not_registered")
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    steps = [torch.randint(3, (20,)) for _ in range(12)]
    loader = [(_graphs(kinds), kinds) for kinds in steps]
    val_kinds = torch.randint(3, (150,))
    val = _graphs(val_kinds)
    sitter = watch(model, optimizer, classes=3, task="classification", epochs=10, steps_per_epoch=12)
    for _ in range(10):
        model.train()
        for batch, kinds in loader:
            out = model(batch)
            if watch.fault == "softmax_over_batch":
                loss = F.nll_loss(out.log_softmax(0), kinds)
            elif watch.fault == "no_log":
                loss = F.nll_loss(out.softmax(1), kinds)
            else:
                loss = F.nll_loss(out.log_softmax(1), kinds)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, kinds)
        model.eval()
        with torch.no_grad():
            logits = model(val)
        sitter.epoch(val_accuracy=accuracy(logits, val_kinds), val_images=150)
    sitter.after()
    return 1 - F.cross_entropy(logits, val_kinds).item() / 1.0986


class Links(nn.Module):
    """Codes (n, 8) of the nodes of one graph, given a normalized adjacency (n, n)."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.nodes = nn.Embedding(nodes, 16)
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 8)

    def forward(self, adjacency: Tensor) -> Tensor:
        hidden = F.relu(torch.sparse.mm(adjacency, self.first(self.nodes.weight)))
        return torch.sparse.mm(adjacency, self.second(hidden))


@loop("graphs", target=0.8, lr=0.02, faults=[fault("sigmoid_twice"), fault("no_step")])
def link_prediction(watch: Watch) -> float:
    """Which nodes are linked: the whole graph in each step, a sparse matrix as input."""
    groups = torch.arange(120) % 6
    chance = torch.where(groups[:, None] == groups[None, :], 0.5, 0.02)
    links = torch.triu(torch.rand(120, 120) < chance, 1)
    pairs = links.nonzero().T
    kept = torch.rand(pairs.shape[1]) < 0.8
    known, hidden = pairs[:, kept], pairs[:, ~kept]
    dense = torch.eye(120)
    dense[known[0], known[1]] = dense[known[1], known[0]] = 1
    adjacency = (dense / dense.sum(1, keepdim=True)).to_sparse()
    model = Links(120)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, epochs=80, steps_per_epoch=1)

    def logits(codes: Tensor, of: Tensor) -> Tensor:
        return (codes[of[0]] * codes[of[1]]).sum(1)

    for _ in range(80):
        codes = model(adjacency)
        wrong = torch.randint(120, known.shape)
        score = torch.cat([logits(codes, known), logits(codes, wrong)])
        if watch.fault == "sigmoid_twice":
            score = score.sigmoid()
        truth = torch.cat([torch.ones(known.shape[1]), torch.zeros(known.shape[1])])
        loss = F.binary_cross_entropy_with_logits(score, truth)
        optimizer.zero_grad()
        loss.backward()
        if watch.fault != "no_step":
            optimizer.step()
        sitter.step(loss, truth)
        sitter.epoch(train_loss=loss.item())
    sitter.after()
    codes = model(adjacency)
    others = torch.randint(120, (2, 500))
    others = others[:, groups[others[0]] != groups[others[1]]]
    ranks = logits(codes, hidden)[:, None] > logits(codes, others)[None, :]
    right = float(ranks.float().mean())
    return right if watch.fault != "sigmoid_twice" else right - float(loss.detach() > 0.5)
