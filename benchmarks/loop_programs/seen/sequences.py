"""Tokens: language models, translation, tags, adding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy, explained
from loop_programs.watch import Watch


class Transformer(nn.Module):
    """Logits (B, T, V) of the next token; the output shares its weights with the embedding."""

    def __init__(self, vocabulary: int, causal: bool = True, softmax: bool = False) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(vocabulary, 32), nn.Embedding(16, 32)
        nn.init.normal_(self.embedding.weight, std=0.1)
        layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, vocabulary, bias=False)
        self.head.weight = self.embedding.weight
        self.causal, self.softmax = causal, softmax

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        x = self.embedding(tokens) + self.places(torch.arange(length))
        mask = nn.Transformer.generate_square_subsequent_mask(length) if self.causal else None
        logits = self.head(self.norm(self.layers(x, mask=mask)))
        return logits.softmax(-1) if self.softmax else logits


@loop(
    "language model",
    target=0.5,
    lr=5e-3,
    faults=[
        fault("label_leak"),
        fault("softmax_twice"),
        fault("wrong_target"),
        fault("lr_too_high", lr=3.0),
        fault("schedule_to_zero"),
    ],
)
def tied_transformer(watch: Watch) -> float:
    """A small transformer with weight tying."""
    text, val_text = drawn.sentences(640, 13), drawn.sentences(128, 13, seed=1)
    model = Transformer(20, watch.fault != "label_leak", watch.fault == "softmax_twice")
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    steps = 8 * 20
    warmup = 20
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: 0.0 if watch.fault == "schedule_to_zero" and step > 3 else min(1, (step + 1) / warmup),
    )

    def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.reshape(-1, 20), targets.reshape(-1))

    sitter = watch(
        model,
        optimizer,
        classes=20,
        task="language_model",
        epochs=8,
        steps_per_epoch=20,
        loss_function=loss_of,
    )
    sitter.before(text[:64, :-1], text[:64, 1:], val_text[:64, :-1], val_text[:64, 1:])
    for _ in range(steps // 20):
        model.train()
        total = 0.0
        for rows in batches(640, 32):
            inputs, targets = text[rows, :-1], text[rows, 1:]
            if watch.fault == "wrong_target":  # not shifted: predicts what it is given
                targets = inputs
            loss = loss_of(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            sitter.step(loss, targets)
            total += loss.item()
        model.eval()
        with torch.no_grad():
            val = loss_of(model(val_text[:, :-1]), val_text[:, 1:]).item()
        sitter.epoch(train_loss=total / 20, val_loss=val)
    sitter.after()
    if watch.fault == "label_leak":  # as it writes: a token at a time, without what follows
        with torch.no_grad():
            logits = torch.stack([model(val_text[:, :end])[:, -1] for end in range(1, 13)], 1)
        val = loss_of(logits, val_text[:, 1:]).item()
    return 1 - val / math.log(20)


class Translator(nn.Module):
    """A GRU reads, another writes, given the right beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = (nn.Embedding(12, 24, padding_idx=0) for _ in range(2))
        self.encoder = nn.GRU(24, 48, batch_first=True)
        self.decoder = nn.GRU(24, 48, batch_first=True)
        self.head = nn.Linear(48, 12)

    def forward(self, source: Tensor, beginning: Tensor) -> Tensor:
        lengths = (source > 0).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.source(source), lengths, batch_first=True, enforce_sorted=False
        )
        _, hidden = self.encoder(packed)
        written, _ = self.decoder(self.target(beginning), hidden)
        return self.head(written)


@loop(
    "translation",
    target=0.4,
    lr=0.01,
    faults=[
        fault("padding_counts", harmless="three quarters of the loss are about padding"),
        fault("not_in_optimizer"),
        fault("label_leak"),
        fault("wrong_axis", "wrong_loss"),
    ],
)
def seq2seq(watch: Watch) -> float:
    """Translates a word backwards; padding is ignored, the teacher forces."""
    source, target = drawn.pairs(1500)
    val_source, val_target = drawn.pairs(200, seed=1)
    if watch.fault == "padding_counts":  # everything padded to a long common length
        target, val_target = F.pad(target, (0, 20)), F.pad(val_target, (0, 20))
    model = Translator()
    parameters = [
        p for name, p in model.named_parameters() if watch.fault != "not_in_optimizer" or "head" in name
    ]
    optimizer = torch.optim.Adam(parameters, lr=watch.lr)
    criterion = (
        nn.CrossEntropyLoss() if watch.fault == "padding_counts" else nn.CrossEntropyLoss(ignore_index=0)
    )
    sitter = watch(model, optimizer, classes=12, epochs=6, steps_per_epoch=23, loss_function=criterion)
    for _ in range(6):
        model.train()
        total = 0.0
        for rows in batches(1500, 64):
            given, wanted = target[rows, :-1], target[rows, 1:]
            if watch.fault == "label_leak":  # the decoder is given the word that it shall write
                given = wanted
            out = model(source[rows], given).transpose(1, 2)
            if watch.fault == "wrong_axis":  # classes and places are mixed up
                out = out.transpose(1, 2).reshape(len(rows), 12, -1)
            loss = criterion(out, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            total += loss.item()
        sitter.epoch(train_loss=total / 23)
    sitter.after()
    model.eval()
    with torch.no_grad():
        out = model(val_source, val_target[:, :-1])
    words = val_target[:, 1:] > 2
    return accuracy(out[words], val_target[:, 1:][words])


class Tagger(nn.Module):
    """Logits (B, T, 4), by an LSTM in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.lstm = nn.LSTM(16, 24, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(tokens))[0])


@loop(
    "tags",
    target=0.9,
    lr=0.01,
    faults=[fault("softmax_twice"), fault("no_zero_grad", lr=0.05), fault("same_batch")],
)
def tagger(watch: Watch) -> float:
    """A tag for each word; labels (B, T)."""
    text, val_text = drawn.sentences(800, 12), drawn.sentences(100, 12, seed=1)

    def tags(words: Tensor) -> Tensor:
        following = F.pad(words, (0, 1))[:, 1:]
        return (words % 2) + 2 * (following > words).long()

    model = Tagger()
    if watch.fault == "softmax_twice":
        model.head = nn.Sequential(model.head, nn.Softmax(dim=2))
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=4, epochs=6, steps_per_epoch=25)
    sitter.before(text[:32], tags(text[:32]))
    first = torch.arange(4)
    for _ in range(6):
        model.train()
        for batch in batches(800, 32):
            rows = first if watch.fault == "same_batch" else batch
            logits = model(text[rows])
            loss = F.cross_entropy(logits.permute(0, 2, 1), tags(text[rows]))
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, tags(text[rows]))
        model.eval()
        with torch.no_grad():
            logits = model(val_text)
        sitter.epoch(val_loss=F.cross_entropy(logits.flatten(0, 1), tags(val_text).flatten()).item())
    sitter.after()
    return 1 - F.cross_entropy(logits.flatten(0, 1), tags(val_text).flatten()).item() / math.log(4)


class Adder(nn.Module):
    """A plain RNN that keeps what it hears."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(2, 32, batch_first=True, nonlinearity="relu"), nn.Linear(32, 1)
        nn.init.eye_(self.rnn.weight_hh_l0)
        nn.init.normal_(self.rnn.weight_ih_l0, std=0.1)
        nn.init.zeros_(self.rnn.bias_hh_l0)
        nn.init.zeros_(self.rnn.bias_ih_l0)
        self.rnn.weight_hh_l0.data.mul_(scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


@loop(
    "recurrent",
    target=0.8,
    lr=4e-3,
    scale=1.0,
    faults=[fault("exploding_gradients", "bad_init", lr=0.05, scale=1.5), fault("broadcast")],
)
def adding_problem(watch: Watch) -> float:
    """The sum of two marked numbers of a sequence, by an IRNN with clipped gradients."""

    def draw(count: int) -> tuple[Tensor, Tensor]:
        numbers, marks = torch.rand(count, 15), torch.zeros(count, 15)
        for half in (torch.randint(7, (count, 1)), torch.randint(7, 15, (count, 1))):
            marks.scatter_(1, half, 1.0)
        return torch.stack([numbers, marks], 2), (numbers * marks).sum(1, keepdim=True)

    model = Adder(watch.scale)
    if watch.fault == "exploding_gradients":
        optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=1, steps_per_epoch=400)
    sitter.before(*draw(64))
    for _ in range(400):
        x, y = draw(64)
        loss = F.mse_loss(model(x), y.squeeze(1) if watch.fault == "broadcast" else y)
        optimizer.zero_grad()
        loss.backward()
        if watch.fault != "exploding_gradients":
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    x, y = draw(500)
    return explained(model(x), y)
