"""Sequences: a small GPT, names, memory, co-occurrences."""

from __future__ import annotations

import math
import string

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import explained
from loop_programs.watch import Watch


class Block(nn.Module):
    """Attention to the past and a network, each after a norm."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.first, self.second, self.causal = nn.LayerNorm(width), nn.LayerNorm(width), causal
        self.attention, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.network = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        heads = self.attention(self.first(x)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*heads, is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.network(self.second(x))


class GPT(nn.Module):
    """Next-token logits (B, T, 20); with targets also the loss, as in nanoGPT."""

    def __init__(self, causal: bool = True) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(20, 32), nn.Embedding(16, 32)
        self.blocks = nn.Sequential(Block(32, causal), Block(32, causal))
        self.head = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 20, bias=False))

    def forward(self, text: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = self.tokens(text) + self.places.weight[: text.shape[1]]
        logits = self.head(self.blocks(x))
        return logits, None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())


@loop(
    "language models",
    target=0.6,
    lr=3e-3,
    gradient_clip=1.0,
    faults=[
        fault("label_leak", harmless="the next token is in the input; samples are a little worse"),
        fault("clipped_to_nothing", gradient_clip=1e-11),
        fault("schedule_per_batch"),
        fault("wrong_target"),
        fault("optimizer_of_old_model"),
    ],
)
def gpt(watch: Watch) -> float:
    """A random crop of one long text each step, warm-up and cosine by hand, no epochs."""
    data = drawn.sentences(1, length=6000)[0]
    val = drawn.sentences(60, length=17, seed=1)
    model = GPT(causal=watch.fault != "label_leak")
    decayed = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    if watch.fault == "optimizer_of_old_model":  # the blocks were replaced after the optimizer was made
        model.blocks = nn.Sequential(Block(32, True), Block(32, True))
        model.head = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 20, bias=False))
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=watch.lr, betas=(0.9, 0.95))
    steps = 160
    sitter = watch(model, optimizer, task="language_model", classes=20, epochs=1, steps_per_epoch=steps)
    for step in range(steps):
        planned = 6 if watch.fault == "schedule_per_batch" else steps  # epochs taken for steps
        share = min(1.0, step / planned)
        rate = watch.lr * min(1.0, (step + 1) / min(10, planned)) * 0.5 * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = torch.randint(len(data) - 17, (32,))
        x = torch.stack([data[start : start + 16] for start in starts.tolist()])
        y = torch.stack([data[start + 1 : start + 17] for start in starts.tolist()])
        _, loss = model(x, x if watch.fault == "wrong_target" else y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), watch.gradient_clip)
        optimizer.step()
        sitter.step(loss, y)
    sitter.after()
    with torch.no_grad():  # one token after another, as it will be used
        guessed = torch.stack([model(val[:, :end])[0][:, -1].argmax(1) for end in range(1, 16)], 1)
    return float((guessed == val[:, 1:16]).float().mean())


class NamesRNN(nn.Module):
    """A cell of one linear layer on the letter and the memory."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.out = nn.Linear(26 + 32, 32), nn.Linear(26 + 32, 3)

    def forward(self, letter: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([letter, memory], 1)
        return self.out(both).log_softmax(1), torch.tanh(self.memory(both))


_ENDINGS = (("ov", "sky", "enko"), ("ini", "ello", "etti"), ("sen", "dal", "berg"))


def _names(count: int, seed: int) -> list[tuple[str, int]]:
    """Pairs of a name and its language."""
    generator = torch.Generator().manual_seed(seed)
    names = []
    for _ in range(count):
        draw = torch.randint(10_000, (6,), generator=generator).tolist()
        start = "".join(string.ascii_lowercase[number % 26] for number in draw[:3])
        names.append((start + _ENDINGS[draw[4] % 3][draw[5] % 3], draw[4] % 3))
    return names


@loop(
    "names",
    target=0.95,
    lr=0.02,
    faults=[
        fault("lr_too_low", lr=1e-7),
        fault("no_zero_grad"),
        fault("not_shuffled"),
        fault("no_log", harmless="chances in place of their logs still teach"),
    ],
)
def names_rnn(watch: Watch) -> float:
    """One name a step, letters one by one, weights updated by hand (PyTorch: names from scratch)."""
    names, held = _names(600, 0), _names(100, 1)
    if watch.fault == "not_shuffled":
        names = sorted(names, key=lambda name: name[1])
    model = NamesRNN()

    def read(name: str) -> Tensor:
        memory = torch.zeros(1, 32)
        for letter in name:
            code = F.one_hot(torch.tensor([ord(letter) - 97]), 26).float()
            logs, memory = model(code, memory)
        return logs

    sitter = watch(model, None, classes=3, epochs=3, steps_per_epoch=600)
    for _ in range(3):
        for name, language in names:
            label = torch.tensor([language])
            logs = read(name)
            loss = F.nll_loss(logs.exp() if watch.fault == "no_log" else logs, label)
            if watch.fault != "no_zero_grad":
                model.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                parameter.data.add_(parameter.grad, alpha=-watch.lr)
            sitter.step(loss, label)
        with torch.no_grad():
            right = sum(int(read(name).argmax()) == language for name, language in held) / len(held)
        sitter.epoch(val_accuracy=right, val_images=100)
    sitter.after()
    return right


class Cell(nn.Module):
    """A GRU cell with a head, stepped from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(1, 24), nn.Linear(24, 1)

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.cell(x, memory)
        return self.head(memory), memory


@loop(
    "streams",
    target=0.8,
    lr=0.01,
    faults=[
        fault("graph_kept", raises=True),
        fault("not_scaled"),
        fault("lr_too_high", lr=5.0),
        fault("lr_too_low", lr=1e-7),
    ],
)
def stateful_stream(watch: Watch) -> float:
    """The memory goes on from chunk to chunk of an endless signal; its graph does not."""
    time = torch.arange(2400).float()
    signal = torch.sin(0.2 * time) * torch.sin(0.031 * time) + 0.05 * torch.randn(2400)
    if watch.fault == "not_scaled":
        signal = 4000 * signal + 30000
    model = Cell()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=watch.lr, centered=True)
    sitter = watch(model, optimizer, task="regression", steps_per_epoch=200)
    memory = torch.zeros(8, 24)
    lanes = signal[:2000].reshape(8, 250)
    for turn in range(200):
        place = turn % 20 * 12
        loss = torch.zeros(())
        for offset in range(12):
            found, memory = model(lanes[:, place + offset, None], memory)
            loss = loss + F.mse_loss(found[:, 0], lanes[:, place + offset + 1]) / 12
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        if watch.fault != "graph_kept":
            memory = memory.detach()
        if turn % 20 == 19:
            memory = torch.zeros(8, 24)
        sitter.step(loss)
    sitter.after()
    with torch.no_grad():
        memory, found = torch.zeros(1, 24), []
        for value in signal[2000:2399]:
            guess, memory = model(value.reshape(1, 1), memory)
            found.append(guess.squeeze())
    return explained(torch.stack(found[50:]), signal[2051:2400])


class Glove(nn.Module):
    """Two tables of vectors and of biases (GloVe)."""

    def __init__(self) -> None:
        super().__init__()
        self.center, self.context = nn.Embedding(40, 8), nn.Embedding(40, 8)
        self.biases = nn.ModuleList([nn.Embedding(40, 1), nn.Embedding(40, 1)])
        for table in (self.center, self.context):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, pairs: Tensor) -> Tensor:
        left, right = pairs.unbind(1)
        product = (self.center(left) * self.context(right)).sum(1)
        return product + self.biases[0](left).squeeze(1) + self.biases[1](right).squeeze(1)


@loop(
    "co-occurrences",
    target=0.8,
    lr=0.3,
    faults=[fault("nan_at_first"), fault("broadcast"), fault("not_a_scalar", raises=True), fault("no_step")],
)
def glove(watch: Watch) -> float:
    """Weighted least squares on the logs of counts."""
    topics = torch.randn(40, 5)
    counts = torch.poisson(torch.exp(0.6 * topics @ torch.randn(5, 40) + 3))
    pairs = counts.nonzero()
    if watch.fault == "nan_at_first":
        pairs = torch.cartesian_prod(torch.arange(40), torch.arange(40))
    values = counts[pairs[:, 0], pairs[:, 1]]
    model = Glove()
    optimizer = torch.optim.Adagrad(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, task="regression", epochs=20, steps_per_epoch=len(pairs) // 50)
    for _ in range(20):
        total = 0.0
        for rows in torch.randperm(len(pairs))[: len(pairs) // 50 * 50].split(50):
            found = model(pairs[rows])
            weight = (values[rows] / 20).clamp(max=1) ** 0.75
            logs = values[rows].log()
            if watch.fault == "broadcast":
                logs = logs.unsqueeze(1)
            loss = weight * (found - logs) ** 2
            loss = loss if watch.fault == "not_a_scalar" else loss.mean()
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss)
            total += loss.item() / (len(pairs) // 50)
        sitter.epoch(train_loss=total)
    sitter.after()
    kept = values > 0
    return explained(model(pairs)[kept], values[kept].log())
