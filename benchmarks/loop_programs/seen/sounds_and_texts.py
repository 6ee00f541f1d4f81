"""Classes of sounds and texts: bags, packed sequences, dicts of inputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader

from loop_programs import drawn
from loop_programs.drawn import batches
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


@loop(
    "sounds",
    target=0.85,
    lr=0.01,
    faults=[fault("not_shuffled"), fault("not_scaled", "lr_too_high"), fault("validates_in_training_mode")],
)
def speech_commands(watch: Watch) -> float:
    """Convolutions along time, after the tutorial's M5."""
    sounds, labels = drawn.sounds(1000)
    val_sounds, val_labels = drawn.sounds(200, seed=1)
    if watch.fault == "not_scaled":
        sounds, val_sounds = sounds * 32768, val_sounds * 32768
    if watch.fault == "not_shuffled":
        sounds, labels = sounds[labels.argsort()], labels.sort().values
    norm = nn.Identity if watch.fault == "not_scaled" else nn.BatchNorm1d
    model = nn.Sequential(
        nn.Conv1d(1, 16, 40, 8),
        norm(16),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 3),
        norm(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 5),
        nn.LogSoftmax(dim=1),
    )
    if watch.fault == "validates_in_training_mode":
        model.insert(9, nn.Dropout(0.5))
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr * 3, momentum=0.9)
    sitter = watch(model, optimizer, classes=5, epochs=5, steps_per_epoch=31, loss_function=F.nll_loss)
    sitter.before(sounds[:100], labels[:100], val_sounds[:100], val_labels[:100])
    for _ in range(5):
        model.train()
        order = torch.arange(1000) if watch.fault == "not_shuffled" else torch.randperm(1000)
        losses = []
        for rows in order[:992].split(32):
            loss = F.nll_loss(model(sounds[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
            losses.append(loss.item())
        if watch.fault != "validates_in_training_mode":
            model.eval()
        with torch.no_grad():
            if watch.fault == "validates_in_training_mode":  # one sound at a time would not even run
                logits = torch.cat([model(part) for part in val_sounds[val_labels.argsort()].split(10)])
                answers = val_labels.sort().values
            else:
                logits, answers = model(val_sounds), val_labels
        val = accuracy(logits, answers)
        sitter.epoch(
            train_loss=sum(losses) / 31,
            val_loss=F.nll_loss(logits, answers).item(),
            val_accuracy=val,
            val_images=200,
        )
    sitter.after()
    return val


class Bag(nn.Module):
    """Logits (B, 4) of texts of any length, given as one list and offsets (text classification tutorial)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(100, 16, sparse=False)
        self.head = nn.Linear(16, 4)
        self.embedding.weight.data.uniform_(-0.5, 0.5)
        self.head.weight.data.uniform_(-0.5, 0.5)
        self.head.bias.data.zero_()

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        return self.head(self.embedding(text, offsets))


def _texts(count: int) -> list[tuple[int, Tensor]]:
    data = []
    for label in torch.randint(4, (count,)).tolist():
        length = int(torch.randint(5, 20, ()))
        words = torch.randint(100, (length,))
        topic = torch.rand(length) < 0.4
        data.append((label, torch.where(topic, label * 25 + words % 25, words)))
    return data


def _collate(batch: list[tuple[int, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    labels = torch.tensor([label for label, _ in batch])
    lengths = torch.tensor([0] + [len(words) for _, words in batch[:-1]])
    return labels, torch.cat([words for _, words in batch]), lengths.cumsum(0)


@loop(
    "texts",
    target=0.8,
    lr=2.0,
    faults=[
        fault("lr_too_low", lr=1e-4),
        fault("no_step"),
        fault("labels_shuffled"),
        fault("weight_decay_too_high", weight_decay=1.0),
    ],
    weight_decay=0.0,
)
def embedding_bag(watch: Watch) -> float:
    """Bags of words with SGD at a large rate and clipping."""
    data = _texts(1200)
    if watch.fault == "labels_shuffled":
        order = torch.randperm(1200).tolist()
        data = [(data[row][0], words) for row, (_, words) in zip(order, data, strict=True)]
    loader = DataLoader(data, batch_size=24, shuffle=True, collate_fn=_collate)
    val_labels, val_text, val_offsets = _collate(_texts(300))
    model = Bag()
    optimizer = torch.optim.SGD(model.parameters(), lr=watch.lr, weight_decay=watch.weight_decay)
    sitter = watch(
        model, optimizer, classes=4, epochs=5, steps_per_epoch=50, loss_function=nn.CrossEntropyLoss()
    )
    for _ in range(5):
        model.train()
        hits = 0
        for labels, text, offsets in loader:
            optimizer.zero_grad()
            logits = model(text, offsets)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss, labels)
            hits += (logits.argmax(1) == labels).sum().item()
        model.eval()
        with torch.no_grad():
            val = accuracy(model(val_text, val_offsets), val_labels)
        sitter.epoch(train_accuracy=hits / 1200, val_accuracy=val, val_images=300)
    sitter.after()
    return val


class Reviews(nn.Module):
    """One logit (B,) of each packed sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.gru, self.head = nn.Embedding(50, 12), nn.GRU(12, 24), nn.Linear(24, 1)

    def forward(self, text: PackedSequence) -> Tensor:
        embedded = text._replace(data=self.embedding(text.data))
        out, hidden = self.gru(embedded)
        padded, lengths = pad_packed_sequence(out)
        mean = padded.sum(0) / lengths[:, None]
        return self.head(mean + hidden[-1]).squeeze(1)


@loop(
    "texts",
    target=0.75,
    lr=0.01,
    faults=[
        fault("labels_shuffled"),
        fault("sigmoid_twice"),
        fault("optimizer_of_old_model"),
        fault("ignores_input"),
    ],
)
def packed_reviews(watch: Watch) -> float:
    """Good or bad, PackedSequence as the model's input."""

    def draw(count: int) -> tuple[Tensor, Tensor, Tensor]:
        lengths = torch.randint(4, 15, (count,))
        words = torch.randint(50, (15, count))
        inside = torch.arange(15)[:, None] < lengths
        good = ((words < 10) & inside).sum(0) - ((words >= 40) & inside).sum(0)
        return words, lengths, (good > 0).float()

    words, lengths, good = draw(1000)
    val_words, val_lengths, val_good = draw(300)
    if watch.fault == "labels_shuffled":
        good = good[torch.randperm(1000)]
    if watch.fault == "ignores_input":  # all words became the unknown word
        words, val_words = torch.zeros_like(words), torch.zeros_like(val_words)
    model = Reviews()
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    if watch.fault == "optimizer_of_old_model":
        model = Reviews()
    sitter = watch(model, optimizer, classes=2, epochs=6, steps_per_epoch=31)
    for _ in range(6):
        model.train()
        for rows in batches(1000, 32):
            packed = pack_padded_sequence(words[:, rows], lengths[rows], enforce_sorted=False)
            logits = model(packed)
            if watch.fault == "sigmoid_twice":
                logits = logits.sigmoid()
            loss = F.binary_cross_entropy_with_logits(logits, good[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, good[rows])
        model.eval()
        with torch.no_grad():
            logits = model(pack_padded_sequence(val_words, val_lengths, enforce_sorted=False))
        right = ((logits > 0) == val_good.bool()).float().mean().item()
        sitter.epoch(val_accuracy=right, val_images=300)
    sitter.after()
    if watch.fault == "sigmoid_twice":
        return right - 0.5 * float(F.binary_cross_entropy_with_logits(logits.sigmoid(), val_good) > 0.45)
    return right


class Output(dict):
    """Like transformers' ModelOutput: a dict with attributes."""

    def __getattr__(self, name: str) -> Tensor:
        return self[name]


class Encoder(nn.Module):
    """Takes keywords only, returns loss and logits (Hugging Face)."""

    def __init__(self, registered: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 24, padding_idx=0)
        layers = [nn.TransformerEncoderLayer(24, 2, 48, dropout=0.1, batch_first=True) for _ in range(2)]
        self.layers = nn.ModuleList(layers) if registered else layers
        self.head = nn.Linear(24, 3)

    def forward(self, *, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> Output:
        x = self.embedding(input_ids)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=attention_mask == 0)
        mean = (x * attention_mask[..., None]).sum(1) / attention_mask.sum(1, keepdim=True)
        logits = self.head(mean)
        loss = F.cross_entropy(logits, labels) if labels is not None else None
        return Output(loss=loss, logits=logits)


@loop(
    "texts",
    target=0.8,
    lr=3e-3,
    faults=[
        fault("no_zero_grad", lr=0.02),
        fault("not_registered", harmless="two layers stay as they were drawn, and no checkpoint has them"),
        fault("label_leak", harmless="the label is among the words"),
        fault("schedule_to_zero"),
    ],
)
def dict_transformer(watch: Watch) -> float:
    """Fine-tuning as Hugging Face's course writes it: ``model(**batch).loss``."""

    def draw(count: int) -> dict[str, Tensor]:
        lengths = torch.randint(5, 12, (count, 1))
        mask = (torch.arange(12) < lengths).long()
        labels = torch.randint(3, (count,))
        words = torch.randint(4, 50, (count, 12))
        topic = torch.rand(count, 12) < 0.5
        words = torch.where(topic, 5 + 15 * labels[:, None] + words % 15, words)
        if watch.fault == "label_leak":
            words[:, 0] = labels + 1
        return {"input_ids": words * mask, "attention_mask": mask, "labels": labels}

    data, val = draw(1000), draw(200)
    model = Encoder(registered=watch.fault != "not_registered")
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr)
    steps = 4 * 31
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: max(0.0, 1 - step / (5 if watch.fault == "schedule_to_zero" else steps))
    )
    sitter = watch(model, optimizer, classes=3, epochs=4, steps_per_epoch=31)
    sitter.before({name: part[:64] for name, part in data.items()}, data["labels"][:64])
    for _ in range(4):
        model.train()
        for rows in batches(1000, 32):
            batch = {name: part[rows] for name, part in data.items()}
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            schedule.step()
            if watch.fault != "no_zero_grad":
                optimizer.zero_grad()
            sitter.step(loss, batch["labels"])
        model.eval()
        with torch.no_grad():
            out = model(**val)
        right = accuracy(out.logits, val["labels"])
        sitter.epoch(val_loss=out.loss.item(), val_accuracy=right, val_images=200)
    sitter.after()
    return right if math.isfinite(out.loss.item()) else 0.0
