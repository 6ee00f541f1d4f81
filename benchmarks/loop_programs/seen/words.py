"""Letters, words and sounds: language models, CTC, word2vec, masked tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


class Letters(nn.Module):
    """An LSTM whose state is handed on from piece to piece (word_language_model)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm, self.head = nn.Embedding(20, 24), nn.LSTM(24, 48), nn.Linear(48, 20)

    def forward(
        self, tokens: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        out, state = self.lstm(self.embedding(tokens), state)
        return self.head(out), state


@loop(
    "language model",
    target=0.45,
    lr=2.0,
    faults=[
        fault("graph_kept", raises=True),
        fault("softmax_twice"),
        fault("wrong_target"),
        fault("clipped_to_nothing", gradient_clip=1e-6),
        fault("lr_too_high", lr=3000.0, gradient_clip=1e9),
    ],
    gradient_clip=1.0,
)
def char_lstm(watch: Watch) -> float:
    """Truncated backpropagation through time, weights updated by hand, no optimizer."""
    stream = drawn.sentences(24, 361).T
    model = Letters()
    sitter = watch(model, None, classes=20, task="language_model", epochs=5, steps_per_epoch=30)
    for _ in range(5):
        model.train()
        state, total = None, 0.0
        for start in range(0, 360, 12):
            inputs, targets = stream[start : start + 12], stream[start + 1 : start + 13]
            if watch.fault == "wrong_target":
                targets = inputs
            model.zero_grad()
            if state is not None and watch.fault != "graph_kept":
                state = tuple(part.detach() for part in state)
            logits, state = model(inputs, state)
            if watch.fault == "softmax_twice":
                logits = logits.softmax(-1)
            loss = F.cross_entropy(logits.reshape(-1, 20), targets.reshape(-1))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), watch.gradient_clip)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(parameter.grad, alpha=-watch.lr)
            sitter.step(loss, targets)
            total += loss.item() / 30
        sitter.epoch(train_loss=total)
    sitter.after()
    val = drawn.sentences(24, 61, seed=1).T
    with torch.no_grad():
        logits, _ = model(val[:-1], None)
    if watch.fault == "softmax_twice":
        logits = logits.softmax(-1)
    return 1 - F.cross_entropy(logits.reshape(-1, 20), val[1:].reshape(-1)).item() / math.log(20)


@loop(
    "speech",
    target=0.5,
    lr=5e-3,
    faults=[fault("no_log", "lr_too_high"), fault("wrong_target"), fault("no_zero_grad")],
)
def ctc(watch: Watch) -> float:
    """Three tones among others in a recording, aligned by CTC; blank is 0."""

    def draw(count: int) -> tuple[Tensor, Tensor]:
        words = torch.randint(1, 5, (count, 3))
        frames = torch.zeros(count, 18, 6)
        for place in range(3):
            start = 6 * place + torch.randint(0, 3, (count,))
            for offset in range(3):
                frames[torch.arange(count), start + offset, words[:, place]] = 1.0
        return frames + 0.3 * torch.randn_like(frames), words

    model = nn.ModuleDict(
        {"rnn": nn.GRU(6, 32, batch_first=True, bidirectional=True), "head": nn.Linear(64, 5)}
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    criterion = nn.CTCLoss(blank=0)
    lengths = torch.full((40,), 18), torch.full((40,), 3)
    sitter = watch(model, optimizer, epochs=6, steps_per_epoch=25)
    for _ in range(6):
        total = 0.0
        for _ in range(25):
            frames, words = draw(40)
            if watch.fault == "wrong_target":
                words = words[torch.randperm(40)]
            logits = model["head"](model["rnn"](frames)[0])
            shares = logits.softmax(-1) if watch.fault == "no_log" else logits.log_softmax(-1)
            loss = criterion(shares.transpose(0, 1), words, *lengths)
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 25
        sitter.epoch(train_loss=total)
    sitter.after()
    frames, words = draw(200)
    with torch.no_grad():
        best = model["head"](model["rnn"](frames)[0]).argmax(-1)
    right = 0
    for row, wanted in zip(best.tolist(), words.tolist(), strict=True):
        heard = [now for now, former in zip(row, [0, *row[:-1]], strict=True) if now and now != former]
        right += heard == wanted
    return right / 200


class SkipGram(nn.Module):
    """Word vectors with sparse gradients; the score (B, 1 + k) of a true neighbour and of k others."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.contexts = (nn.Embedding(20, 12, sparse=True) for _ in range(2))

    def forward(self, word: Tensor, contexts: Tensor) -> Tensor:
        return torch.einsum("bd,bkd->bk", self.words(word), self.contexts(contexts))


@loop(
    "word vectors",
    target=0.3,
    lr=0.02,
    faults=[fault("sigmoid_twice"), fault("lr_too_high", lr=1e4), fault("not_in_optimizer")],
)
def word2vec(watch: Watch) -> float:
    """Skip-gram with negative sampling; SGD or SparseAdam on sparse gradients."""
    text = drawn.sentences(300, 12)
    words, followers = text[:, :-1].flatten(), text[:, 1:].flatten()
    model = SkipGram()
    trained = [model.contexts.weight]
    if watch.fault == "not_in_optimizer":
        nn.init.zeros_(model.words.weight)
    else:
        trained.append(model.words.weight)
    optimizer = torch.optim.SparseAdam(trained, lr=watch.lr)
    sitter = watch(model, optimizer, epochs=6, steps_per_epoch=33)
    truth = torch.zeros(100, 6)
    truth[:, 0] = 1
    for _ in range(6):
        total = 0.0
        for rows in batches(len(words), 100):
            contexts = torch.cat([followers[rows, None], torch.randint(20, (100, 5))], 1)
            score = model(words[rows], contexts)
            if watch.fault == "sigmoid_twice":
                score = score.sigmoid()
            loss = F.binary_cross_entropy_with_logits(score, truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item() / 33
        sitter.epoch(train_loss=total)
    sitter.after()
    with torch.no_grad():
        score = model(words, torch.cat([followers[:, None], torch.randint(20, (len(words), 5))], 1))
    if watch.fault == "sigmoid_twice":
        score = score.sigmoid()
    return 1 - F.binary_cross_entropy_with_logits(score, truth[:1].expand_as(score)).item() / 0.4506


class Masked(nn.Module):
    """Logits (B, T, 20) by a transformer that sees both sides; 20 is the mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(21, 32)
        self.places = nn.Parameter(0.1 * torch.randn(12, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.head = nn.Linear(32, 20)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.encoder(self.embedding(tokens) + self.places))}


@loop(
    "language model",
    target=0.3,
    lr=5e-3,
    faults=[fault("label_leak"), fault("labels_shuffled"), fault("no_step"), fault("frozen")],
)
def masked_tokens(watch: Watch) -> float:
    """BERT's exercise: guess the hidden tokens; labels are -100 elsewhere."""
    text, val_text = drawn.sentences(600, 12), drawn.sentences(100, 12, seed=1)

    def hide(tokens: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.rand(tokens.shape) < 0.2
        return tokens.masked_fill(hidden, 20), tokens.masked_fill(~hidden, -100)

    model = Masked()
    if watch.fault == "frozen":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name == "head.bias")
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=20, epochs=10, steps_per_epoch=20)
    inputs, labels = hide(text[:30])
    sitter.before(inputs, labels)
    for _ in range(10):
        model.train()
        total = 0.0
        for rows in batches(600, 30):
            inputs, labels = hide(text[rows])
            if watch.fault == "label_leak":  # the mask was never applied
                inputs = text[rows]
            if watch.fault == "labels_shuffled":
                labels = labels[torch.randperm(30)]
            loss = F.cross_entropy(model(inputs)["logits"].transpose(1, 2), labels)
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss, labels)
            total += loss.item() / 20
        sitter.epoch(train_loss=total)
    sitter.after()
    model.eval()
    inputs, labels = hide(val_text)
    with torch.no_grad():
        logits = model(inputs)["logits"]
    return accuracy(logits[labels >= 0], labels[labels >= 0])
