"""Odds and ends: alignments, fields, sparse features, recall, heat maps, bare tensors, short runs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class Reader(nn.Module):
    """Columns of a strip of digits to log-probabilities (T, B, 7); 0 is the blank."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(8, 24, 3, padding=1)
        self.rnn = nn.GRU(24, 24, bidirectional=True)
        self.fc = nn.Linear(48, 7)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.rnn(self.conv(x).relu().permute(2, 0, 1))
        return self.fc(out)


@loop(
    "captchas",
    target=0.85,
    lr=0.01,
    faults=[fault("no_log"), fault("wrong_target"), fault("lr_too_low", lr=1e-7)],
)
def captcha(watch: Watch) -> float:
    """Three signs in a strip of 12 columns, CTC; the score is the share of strips read without an error."""
    signs = torch.randn(6, 8, 2)
    words = torch.randint(6, (900, 3))
    strips = 0.3 * torch.randn(900, 8, 12)
    for place in range(3):
        for row in range(900):
            start = 4 * place + int(torch.randint(3, ()))
            strips[row, :, start : start + 2] += signs[words[row, place]]
    targets = words + 1
    if watch.fault == "wrong_target":  # the file names were sorted
        targets[:750] = targets[:750][targets[:750, 0].argsort()]
    model = Reader()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.CTCLoss(zero_infinity=True)
    sitter = watch(model, optimizer, epochs=10, steps_per_epoch=25)
    sizes = torch.full((30,), 12), torch.full((30,), 3)
    for _ in range(10):
        model.train()
        for rows in torch.randperm(750).split(30):
            out = model(strips[rows])
            if watch.fault == "no_log":  # chances in place of their logs
                loss = criterion(out.softmax(2), targets[rows], *sizes)
            else:
                loss = criterion(out.log_softmax(2), targets[rows], *sizes)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            sitter.step(loss)
        model.eval()
        with torch.no_grad():
            best = model(strips[750:]).argmax(2).T
        read = [[int(c) for c in torch.unique_consecutive(row) if c] for row in best]
        right = sum(one == two for one, two in zip(read, (words[750:] + 1).tolist(), strict=True)) / 150
        sitter.epoch(train_loss=loss.item(), val_accuracy=right, val_images=150)
    sitter.after()
    return right


class CRF(nn.Module):
    """Scores of tags and of pairs of tags; the negative log-likelihood by the forward algorithm."""

    def __init__(self) -> None:
        super().__init__()
        self.emit = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 4))
        self.transitions = nn.Parameter(torch.zeros(4, 4))

    def forward(self, x: Tensor, tags: Tensor) -> Tensor:
        scores = self.emit(x)
        gold = scores.gather(2, tags[..., None]).sum((1, 2))
        gold = gold + self.transitions[tags[:, :-1], tags[:, 1:]].sum(1)
        alpha = scores[:, 0]
        for step in range(1, x.shape[1]):
            alpha = (alpha[:, :, None] + self.transitions).logsumexp(1) + scores[:, step]
        return alpha.logsumexp(1) - gold

    @torch.no_grad()
    def decode(self, x: Tensor) -> Tensor:
        scores = self.emit(x)
        best, back = scores[:, 0], []
        for step in range(1, x.shape[1]):
            best, came = (best[:, :, None] + self.transitions).max(1)
            best = best + scores[:, step]
            back.append(came)
        tags = [best.argmax(1)]
        for came in reversed(back):
            tags.append(came.gather(1, tags[-1][:, None])[:, 0])
        return torch.stack(tags[::-1], 1)


@loop(
    "tags of words",
    target=0.8,
    lr=0.01,
    faults=[
        fault("not_a_scalar", raises=True),
        fault("wrong_sign"),
        fault("labels_shuffled"),
        fault("no_step"),
    ],
)
def crf(watch: Watch) -> float:
    """A conditional random field over chains whose tags mostly go round in order."""
    tags = [torch.randint(4, (700,))]
    for _ in range(9):
        tags.append(torch.where(torch.rand(700) < 0.85, (tags[-1] + 1) % 4, torch.randint(4, (700,))))
    y = torch.stack(tags, 1)
    x = torch.randn(4, 6)[y] + 1.2 * torch.randn(700, 10, 6)
    model = CRF()
    optimizer = torch.optim.Adamax(model.parameters(), lr=watch.lr)
    truth = y.clone()
    if watch.fault == "labels_shuffled":
        y[:560] = y[torch.randperm(560)]
    sitter = watch(model, optimizer, epochs=10, steps_per_epoch=20)
    for _ in range(10):
        total = 0.0
        for rows in torch.randperm(560).split(28):
            nll = model(x[rows], y[rows])
            loss = nll if watch.fault == "not_a_scalar" else nll.mean()
            loss = -loss if watch.fault == "wrong_sign" else loss
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss)
            total += loss.item() / 20
        with torch.no_grad():
            held = model(x[560:], truth[560:]).mean().item()
        sitter.epoch(train_loss=total, val_loss=held)
    sitter.after()
    return float((model.decode(x[560:]) == truth[560:]).float().mean())


class SparseAutoencoder(nn.Module):
    """More features than inputs, few of them active."""

    def __init__(self) -> None:
        super().__init__()
        self.W_enc, self.W_dec = (
            nn.Parameter(0.2 * torch.randn(16, 48)),
            nn.Parameter(0.2 * torch.randn(48, 16)),
        )
        self.b_enc, self.b_dec = nn.Parameter(torch.zeros(48)), nn.Parameter(torch.zeros(16))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        f = F.relu((x - self.b_dec) @ self.W_enc + self.b_enc)
        return {"features": f, "rebuilt": f @ self.W_dec + self.b_dec}


@loop(
    "features of features",
    target=0.7,
    lr=3e-3,
    l1=0.01,
    faults=[
        fault("penalty_too_heavy", l1=3.0),
        fault("dead_biases"),
        fault("frozen"),
        fault("lr_too_high", lr=10.0),
    ],
)
def sparse_features(watch: Watch) -> float:
    """Interpretability: activations are sums of few directions out of many."""
    directions = F.normalize(torch.randn(32, 16))
    active = (torch.rand(2500, 32) < 0.08) * torch.rand(2500, 32)
    data = 3 * active @ directions
    sae = SparseAutoencoder()
    if watch.fault == "dead_biases":
        nn.init.constant_(sae.b_enc, -20.0)
    if watch.fault == "frozen":
        sae.W_enc.requires_grad_(False)
        sae.W_dec.requires_grad_(False)
    optimizer = torch.optim.Adam(sae.parameters(), lr=watch.lr, betas=(0.0, 0.999))
    sitter = watch(sae, optimizer, epochs=10, steps_per_epoch=40)
    for _ in range(10):
        for _step in range(40):
            batch = data[torch.randint(2000, (50,))]
            out = sae(batch)
            loss = (out["rebuilt"] - batch).square().sum(1).mean() + watch.l1 * out["features"].sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            rebuilt = sae(data[2000:])["rebuilt"]
        sitter.epoch(train_loss=loss.item(), val_loss=(rebuilt - data[2000:]).square().sum(1).mean().item())
    sitter.after()
    return explained(rebuilt, data[2000:])


class Recall(nn.Module):
    """One head of attention written out; looks a key up among pairs of keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.values = nn.Embedding(12, 32), nn.Embedding(8, 32)
        self.q, self.k, self.v = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)
        self.out = nn.Linear(32, 8)

    def forward(self, keys: Tensor, values: Tensor, asked: Tensor) -> Tensor:
        k = self.keys(keys)
        q = self.q(self.keys(asked))[:, None]
        scores = q @ self.k(k).transpose(1, 2) / math.sqrt(32)
        return self.out((scores.softmax(-1) @ self.v(self.values(values)))[:, 0])


@loop(
    "attention by hand",
    target=0.9,
    lr=5e-3,
    faults=[fault("lr_too_high", lr=3.0), fault("ignores_input"), fault("zero_init"),
            fault("softmax_twice", harmless="slower, but attention finds it")],
)  # fmt: skip
def recall(watch: Watch) -> float:
    """Associative recall: five pairs, one question, a fresh batch each step."""
    model = Recall()
    if watch.fault == "zero_init":
        for layer in (model.q, model.k, model.v, model.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=8, epochs=1, steps_per_epoch=500)

    def draw(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        keys = torch.rand(count, 12).argsort(1)[:, :5]
        values, place = torch.randint(8, (count, 5)), torch.randint(5, (count,))
        index = torch.arange(count)
        return keys, values, keys[index, place], values[index, place]

    for _ in range(500):
        keys, values, asked, answer = draw(64)
        if watch.fault == "ignores_input":  # a view of the wrong tensor
            asked = torch.zeros_like(asked)
        logits = model(keys, values, asked)
        loss = F.cross_entropy(logits.softmax(1) if watch.fault == "softmax_twice" else logits, answer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, answer)
    sitter.after()
    keys, values, asked, answer = draw(500)
    with torch.no_grad():
        return accuracy(model(keys, values, asked), answer)


class HeatMaps(nn.Module):
    """One map (B, 1, 16, 16) of where the center is."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 12, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(12, 12, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(12, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@loop(
    "key points",
    target=0.85,
    lr=3e-3,
    faults=[fault("wrong_axis", "labels_do_not_match"), fault("scaled_to_nothing")],
)
def heat_maps(watch: Watch) -> float:
    """The map of a bell around the center is learned; read with a soft argmax."""
    x, _, boxes = drawn.blobs(700)
    centers = boxes[:, :2] * 16
    side = torch.arange(16).float()
    given = centers.flip(1) if watch.fault == "wrong_axis" else centers  # x comes first in one library
    down = (side[None, :, None] - given[:, 0, None, None]).square()
    maps = torch.exp(-(down + (side[None, None] - given[:, 1, None, None]).square()) / 8).unsqueeze(1)
    if watch.fault == "scaled_to_nothing":
        x = x * 1e-8
    model = HeatMaps()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=8, steps_per_epoch=20)
    sitter.before(x[:100], maps[:100], x[600:], maps[600:])
    for _ in range(8):
        for rows in torch.randperm(600).split(30):
            loss = F.mse_loss(model(x[rows]), maps[rows]) * 10
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        with torch.no_grad():
            out = model(x[600:])
        sitter.epoch(train_loss=loss.item(), val_loss=10 * F.mse_loss(out, maps[600:]).item())
    sitter.after()
    best = out.flatten(1).argmax(1)
    found = torch.stack([best // 16, best % 16], 1).float()
    return float(((found - centers[600:]).norm(dim=1) < 1.5).float().mean())


@loop(
    "bare tensors",
    target=0.94,
    lr=0.5,
    width=32,
    faults=[
        fault("no_zero_grad"),
        fault("zero_init"),
        fault("lr_too_high", lr=5000.0),
        fault("wrong_sign"),
        fault("too_small", width=1),
    ],
)
def two_layers(watch: Watch) -> float:
    """w1, b1, w2, b2 and ``-= lr * grad``, as in many a first lesson: inside or outside of a ring."""
    x = torch.randn(1000, 2)
    y = (x.norm(dim=1) > 1.2).float()
    w1 = nn.Parameter(
        torch.zeros(2, watch.width) if watch.fault == "zero_init" else torch.randn(2, watch.width)
    )
    w2 = nn.Parameter(
        torch.zeros(watch.width, 1) if watch.fault == "zero_init" else torch.randn(watch.width, 1) * 0.2
    )
    b1, b2 = nn.Parameter(torch.zeros(watch.width)), nn.Parameter(torch.zeros(1))
    net = nn.ParameterList([w1, b1, w2, b2])
    sitter = watch(net, None, classes=2, epochs=25, steps_per_epoch=40)
    for _ in range(25):
        for rows in torch.randperm(800).split(20):
            out = (torch.tanh(x[rows] @ w1 + b1) @ w2 + b2)[:, 0]
            loss = F.binary_cross_entropy_with_logits(out, y[rows])
            (-loss if watch.fault == "wrong_sign" else loss).backward()
            with torch.no_grad():
                for weight in (w1, b1, w2, b2):
                    weight -= watch.lr * weight.grad
                    if watch.fault != "no_zero_grad":
                        weight.grad.zero_()
            sitter.step(loss, y[rows])
        with torch.no_grad():
            out = (torch.tanh(x[800:] @ w1 + b1) @ w2 + b2)[:, 0]
        val = float(((out > 0).float() == y[800:]).float().mean())
        sitter.epoch(val_accuracy=val, val_images=200)
    sitter.after()
    return val


@loop("short training", target=0.0, lr=1e-3, evidence=False)
def dry_run(watch: Watch) -> float:
    """``--dry-run``: three batches to see that it starts."""
    x, y = drawn.digits(100)
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adadelta(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=10, epochs=1, steps_per_epoch=3)
    for start in (0, 30, 60):
        loss = F.cross_entropy(model(x[start : start + 30]), y[start : start + 30])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, y[start : start + 30])
    sitter.after()
    with torch.no_grad():
        return accuracy(model(x), y)
