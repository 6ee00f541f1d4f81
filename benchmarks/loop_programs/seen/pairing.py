"""Things that belong together: pictures and texts, few examples, knowledge, ranked lists."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


class Clip(nn.Module):
    """Two towers to one sphere, and a learned temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 24)
        )
        self.words, self.text = nn.EmbeddingBag(30, 24), nn.Linear(24, 24)
        self.log_scale = nn.Parameter(torch.tensor(math.log(5.0)))

    def forward(self, pictures: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        return F.normalize(self.picture(pictures)), F.normalize(self.text(self.words(texts)))


@loop(
    "pictures and texts",
    target=0.5,
    lr=5e-3,
    faults=[
        fault("not_in_optimizer"),
        fault("labels_shuffled"),
        fault("wrong_sign"),
        fault("no_step"),
        fault("softmax_over_batch", harmless="chances in place of logits still teach"),
    ],
)
def clip(watch: Watch) -> float:
    """Each picture finds its text among those of the batch, and the other way round (CLIP)."""
    pictures, digits = drawn.digits(2300, noise=0.03)
    texts = torch.stack([digits * 2 + torch.randint(2, (2300,)), torch.randint(20, 30, (2300,))], 1)
    if watch.fault == "labels_shuffled":
        texts = torch.cat([texts[torch.randperm(2000)], texts[2000:]])
    model = Clip()
    trained = list(model.parameters())
    if watch.fault == "not_in_optimizer":
        trained = [*model.words.parameters(), *model.text.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=watch.lr, weight_decay=1e-3)
    steps = 40
    sitter = watch(model, optimizer, epochs=12, steps_per_epoch=steps)
    for _ in range(12):
        total = 0.0
        for rows in torch.randperm(2000).split(50):
            left, right = model(pictures[rows], texts[rows])
            logits = left @ right.T * model.log_scale.exp()
            pairs = torch.arange(len(rows))
            loss = (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2
            if watch.fault == "softmax_over_batch":  # no logits, but chances over the other side
                loss = F.cross_entropy(logits.softmax(0), pairs)
            if watch.fault == "wrong_sign":  # distances in place of similarities
                loss = F.cross_entropy(-logits, pairs)
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            with torch.no_grad():
                model.log_scale.clamp_(0, 4.6)
            sitter.step(loss)
            total += loss.item() / steps
        sitter.epoch(train_loss=total)
    sitter.after()
    with torch.no_grad():
        left, right = model(pictures[2000:], torch.stack([torch.arange(20), torch.full((20,), 25)], 1))
    return accuracy((left @ right.T).unflatten(1, (10, 2)).mean(2), digits[2000:])


@loop(
    "few shots",
    target=0.7,
    lr=2e-3,
    faults=[
        fault("wrong_sign"),
        fault("label_leak"),
        fault("wrong_target"),
        fault("lr_too_high", lr=30.0),
        fault("scaled_to_nothing"),
    ],
)
def prototypes(watch: Watch) -> float:
    """Episodes of five classes: queries go to the nearest mean of the supports (prototypical networks)."""
    mixing = torch.randn(6, 30)
    scale = 1e-6 if watch.fault == "scaled_to_nothing" else 1.0

    def episode(queries: int = 5) -> tuple[Tensor, Tensor]:
        centers = torch.randn(5, 1, 6)
        codes = centers + 0.35 * torch.randn(5, 3 + queries, 6)
        noise = 3 * torch.randn(5, 3 + queries, 24)
        points = torch.cat([torch.tanh(codes @ mixing), noise], 2)
        return scale * points[:, :3], scale * points[:, 3:]

    embed = nn.Sequential(nn.Linear(54, 64), nn.LeakyReLU(), nn.Linear(64, 16))
    optimizer = torch.optim.SGD(embed.parameters(), lr=20 * watch.lr, momentum=0.9)
    labels = torch.arange(5).repeat_interleave(5)
    sitter = watch(embed, optimizer, epochs=5, steps_per_epoch=60)
    for _ in range(5):
        total = 0.0
        for _ in range(60):
            supports, queries = episode()
            if watch.fault == "label_leak":  # the queries are among the supports
                supports, queries = supports[:, :1], supports[:, :1].expand_as(queries)
            means = embed(supports).mean(1)
            distances = torch.cdist(embed(queries.flatten(0, 1)), means)
            logits = distances if watch.fault == "wrong_sign" else -distances
            answers = torch.arange(5).repeat(5) if watch.fault == "wrong_target" else labels
            loss = F.cross_entropy(logits, answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, answers)
            total += loss.item() / 60
        sitter.epoch(train_loss=total)
    sitter.after()
    hits = 0.0
    with torch.no_grad():
        for _ in range(40):
            supports, queries = episode()
            logits = -torch.cdist(embed(queries.flatten(0, 1)), embed(supports).mean(1))
            hits += accuracy(logits, labels) / 40
    return hits


class TransE(nn.Module):
    """Distance of head and relation from tail (B,) for triples (B, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.things, self.relations = nn.Embedding(60, 12), nn.Embedding(3, 12)

    def forward(self, triples: Tensor) -> Tensor:
        head, relation, tail = triples.unbind(1)
        return (self.things(head) + self.relations(relation) - self.things(tail)).norm(dim=1)


@loop(
    "knowledge graphs",
    target=0.5,
    lr=0.05,
    faults=[
        fault("wrong_sign"),
        fault("lr_too_low", lr=1e-6),
        fault("weight_decay_too_high", weight_decay=1.0),
        fault("no_backward"),
    ],
    weight_decay=0.0,
)
def transe(watch: Watch) -> float:
    """Facts against facts with another end, by a margin (TransE)."""
    head = torch.arange(60).repeat(3)
    relation = torch.arange(3).repeat_interleave(60)
    tail = head + torch.tensor([1, 5, 12])[relation]
    facts = torch.stack([head, relation, tail], 1)[tail < 60]
    count = len(facts)
    model = TransE()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr, weight_decay=watch.weight_decay)
    sitter = watch(model, optimizer, epochs=40, steps_per_epoch=9)
    for _ in range(40):
        total = 0.0
        for rows in torch.randperm(count).split(20):
            true = facts[rows].repeat(4, 1)
            false = torch.where(torch.tensor([False, False, True]), torch.randint(60, (len(true), 1)), true)
            side = torch.full((len(true),), 1.0 if watch.fault == "wrong_sign" else -1.0)
            loss = F.margin_ranking_loss(model(true), model(false), side, margin=2.0)
            optimizer.zero_grad()
            if watch.fault != "no_backward":
                loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 9
        sitter.epoch(train_loss=total)
    sitter.after()
    with torch.no_grad():
        all_tails = torch.stack(
            [
                model(torch.stack([facts[:, 0], facts[:, 1], torch.full((count,), end)], 1))
                for end in range(60)
            ],
            1,
        )
    return float((all_tails.argsort(1)[:, :3] == facts[:, 2:]).any(1).float().mean())


@loop(
    "ranking",
    target=0.9,
    lr=5e-3,
    faults=[
        fault("softmax_over_batch", harmless="documents compete with those of other lists"),
        fault("broadcast"),
        fault("not_scaled"),
        fault("gradients_in_validation", harmless="the graph of each validation is kept"),
    ],
)
def listnet(watch: Watch) -> float:
    """Lists of eight documents for a question: the distribution of grades is the target (ListNet)."""
    documents = torch.randn(900, 8, 6)
    worth = documents[..., 0] * documents[..., 1] + documents[..., 2] + 0.2 * torch.randn(900, 8)
    grades = torch.bucketize(worth, torch.tensor([-0.8, 0.5, 1.6])).float()
    if watch.fault == "not_scaled":  # lengths, ages and prices as they come
        documents = documents * torch.tensor([1.0, 1.0, 1.0, 3e4, 1.0, 2e3]) + 5000
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    loader = DataLoader(TensorDataset(documents[:700], grades[:700]), batch_size=20, shuffle=True)
    kept = []
    sitter = watch(model, optimizer, epochs=10, steps_per_epoch=35)
    for _ in range(10):
        for lists, wanted in loader:
            scores = model(lists).squeeze(2)
            axis = 0 if watch.fault == "softmax_over_batch" else 1
            loss = -(wanted.softmax(axis) * scores.log_softmax(axis)).sum(axis).mean()
            if watch.fault == "broadcast":  # (B, 8, 1) against (B, 8): each list against every document
                loss = ((model(lists) - wanted[:, None]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.set_grad_enabled(watch.fault == "gradients_in_validation"):
            scores = model(documents[700:]).squeeze(2)
            val = -(grades[700:].softmax(1) * scores.log_softmax(1)).sum(1).mean()
        kept.append(val)
        sitter.epoch(val_loss=val.item())
    sitter.after()
    first, second = scores[:, :, None], scores[:, None, :]
    truth = grades[700:, :, None] > grades[700:, None, :]
    return 2 * float((first > second)[truth].float().mean()) - 1


@loop(
    "rare classes",
    target=0.8,
    lr=5e-3,
    faults=[fault("one_class"), fault("labels_shuffled"), fault("dropout_too_high", dropout=0.98)],
    dropout=0.1,
)
def weighted_sampler(watch: Watch) -> float:
    """Rare classes are drawn as often as the others by a sampler; the score is the balanced accuracy."""
    x, y = drawn.clusters(6000, 4, 8, spread=2.6)
    rare = torch.tensor([1.0, 0.5, 0.08, 0.04])
    kept = torch.rand(5000) < rare[y[:5000]]
    held_x, held_y = x[5000:], y[5000:]
    x, y = x[:5000][kept], y[:5000][kept]
    if watch.fault == "labels_shuffled":
        y = y[torch.randperm(len(y))]
    weights = 1.0 / y.bincount()[y].float()
    if watch.fault == "one_class":  # weights of the wrong way round
        weights = y.bincount()[y].float()
    sampler = WeightedRandomSampler(weights.tolist(), 1000)
    loader = DataLoader(TensorDataset(x, y), batch_size=40, sampler=sampler)
    model = nn.Sequential(
        nn.Linear(8, 48), nn.SELU(), nn.AlphaDropout(watch.dropout), nn.Linear(48, 48), nn.SELU(),
        nn.AlphaDropout(watch.dropout), nn.Linear(48, 4),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.CrossEntropyLoss()
    sitter = watch(model, optimizer, classes=4, epochs=8, steps_per_epoch=25, loss_function=criterion)
    sitter.before(x[:200], y[:200], held_x, held_y)
    for _ in range(8):
        model.train()
        for points, answers in loader:
            loss = criterion(model(points), answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, answers)
        model.eval()
        with torch.no_grad():
            logits = model(held_x)
        hits = logits.argmax(1) == held_y
        val = sum(hits[held_y == c].float().mean().item() for c in range(4)) / 4
        sitter.epoch(val_loss=criterion(logits, held_y).item(), val_accuracy=accuracy(logits, held_y))
    sitter.after()
    return val
