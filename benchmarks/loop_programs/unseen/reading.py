"""Texts: letters, sentences, dates, tags, pairs of sentences, pictures of words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


@loop(
    "characters",
    target=0.65,
    lr=0.1,
    faults=[
        fault("lr_too_low", lr=1e-6),
        fault("graph_kept", raises=True),
        fault("no_zero_grad"),
        fault("wrong_target"),
    ],
)
def min_char_rnn(watch: Watch) -> float:
    """Karpathy's 100 lines in PyTorch: clipped gradients, Adagrad by hand, no layers, no epochs."""
    data = drawn.sentences(1, length=4000, vocabulary=12)[0]
    hidden, vocab, seq = 40, 12, 20
    Wxh, Whh, Why = (  # noqa: N806
        (torch.randn(shape) * 0.1).requires_grad_()
        for shape in ((hidden, vocab), (hidden, hidden), (vocab, hidden))
    )
    bh, by = torch.zeros(hidden, requires_grad=True), torch.zeros(vocab, requires_grad=True)
    params = [Wxh, Whh, Why, bh, by]
    mem = [torch.zeros_like(p) for p in params]
    holder = nn.Module()
    for name, p in zip(("Wxh", "Whh", "Why", "bh", "by"), params, strict=True):
        p.requires_grad_()
        holder.register_parameter(name, nn.Parameter(p.detach()))
    Wxh, Whh, Why, bh, by = params = list(holder.parameters())  # noqa: N806

    def run(inputs: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        out = []
        for token in inputs:
            h = torch.tanh(Wxh[:, token] + Whh @ h + bh)
            out.append(Why @ h + by)
        return torch.stack(out), h

    sitter = watch(holder, None, classes=12, steps_per_epoch=300)
    place, h = 0, torch.zeros(hidden)
    for _ in range(300):
        if place + seq + 1 >= 3500:
            place, h = 0, torch.zeros(hidden)
        inputs = data[place : place + seq]
        targets = (
            data[place : place + seq] if watch.fault == "wrong_target" else data[place + 1 : place + seq + 1]
        )
        logits, h = run(inputs, h)
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        if watch.fault != "graph_kept":
            h = h.detach()
        with torch.no_grad():
            for p, m in zip(params, mem, strict=True):
                g = p.grad.clamp(-5, 5)
                m += g * g
                p -= watch.lr * g / (m + 1e-8).sqrt()
                if watch.fault != "no_zero_grad":
                    p.grad = None
        sitter.step(loss, targets)
        place += seq
    sitter.after()
    with torch.no_grad():
        logits, _ = run(data[3500:3999], torch.zeros(hidden))
    return accuracy(logits, data[3501:4000])


class RMSNorm(nn.Module):
    """Root mean square norm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class LlamaLayer(nn.Module):
    """Rotary attention and a gated network."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(dim), RMSNorm(dim)
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.w1, self.w3 = nn.Linear(dim, 64, bias=False), nn.Linear(dim, 64, bias=False)
        self.w2 = nn.Linear(64, dim, bias=False)

    def rotate(self, x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        angle = torch.arange(x.shape[2])[:, None] * 10.0 ** -torch.arange(half).div(half)
        left, right = x[..., :half], x[..., half:]
        return torch.cat(
            [left * angle.cos() - right * angle.sin(), left * angle.sin() + right * angle.cos()], -1
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        q, k, v = (w(y).unflatten(2, (4, -1)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        mixed = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
        x = x + self.wo(mixed.transpose(1, 2).flatten(2))
        y = self.norm2(x)
        return x + self.w2(F.silu(self.w1(y)) * self.w3(y))


class CausalLM(nn.Module):
    """Like those of transformers: shifts the labels itself and returns a dictionary with the loss."""

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(20, 32)
        self.layers = nn.ModuleList(LlamaLayer(32) for _ in range(layers))
        self.norm, self.lm_head = RMSNorm(32), nn.Linear(32, 20, bias=False)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x)
        logits = self.lm_head(self.norm(x))
        if labels is None:
            return {"logits": logits}
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return {"loss": loss, "logits": logits}


@loop(
    "language model",
    target=0.65,
    lr=5e-3,
    weight_decay=0.01,
    faults=[
        fault("shifted_twice"),
        fault("weight_decay_too_high", weight_decay=100.0),
        fault("schedule_to_zero"),
        fault("lr_too_high", lr=5.0),
    ],
)
def tiny_llama(watch: Watch) -> float:
    """RMS norms, rotary positions, gates; warm-up and a linear decay that the scheduler is told in steps."""
    text, held = drawn.sentences(1000), drawn.sentences(100, seed=1)
    model = CausalLM()
    optimizer = torch.optim.AdamW(model.parameters(), lr=watch.lr, weight_decay=watch.weight_decay)
    total = 4 if watch.fault == "schedule_to_zero" else 160  # the number of epochs is not that of steps

    def factor(step: int) -> float:
        return min((step + 1) / 4, max(0.0, 1 - step / total))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    sitter = watch(model, optimizer, task="language_model", classes=20, epochs=4, steps_per_epoch=40)
    for _ in range(4):
        model.train()
        for rows in torch.randperm(1000).split(25):
            input_ids = text[rows]
            labels = input_ids.clone()
            if watch.fault == "shifted_twice":  # shifted by the collator, and by the model once more
                labels = torch.cat([labels[:, 1:], torch.full((25, 1), -100)], 1)
            outputs = model(input_ids=input_ids, labels=labels)
            loss = outputs["loss"]
            loss.backward()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            sitter.step(loss, labels)
        model.eval()
        with torch.no_grad():
            outputs = model(input_ids=held, labels=held)
        sitter.epoch(val_loss=outputs["loss"].item())
    sitter.after()
    return accuracy(outputs["logits"][:, :-1], held[:, 1:])


class DateTranslator(nn.Module):
    """nn.Transformer from written dates to ISO dates."""

    def __init__(self) -> None:
        super().__init__()
        self.src, self.tgt = nn.Embedding(24, 32), nn.Embedding(13, 32)
        self.places = nn.Parameter(torch.randn(8, 32) * 0.3)
        self.transformer = nn.Transformer(32, 4, 1, 1, 64, dropout=0.0, batch_first=True)
        self.generator = nn.Linear(32, 13)

    def forward(self, src: Tensor, tgt: Tensor, mask: Tensor | None) -> Tensor:
        left = self.src(src) + self.places[: src.shape[1]]
        right = self.tgt(tgt) + self.places[: tgt.shape[1]]
        return self.generator(self.transformer(left, right, tgt_mask=mask))


@loop(
    "translation",
    target=0.8,
    lr=3e-3,
    faults=[fault("label_leak"), fault("softmax_over_batch"), fault("no_step"), fault("frozen")],
)
def dates(watch: Watch) -> float:
    """Month names and days to numbers, teacher forcing; judged on dates that are written by itself."""
    months, days = torch.randint(12, (1500,)), torch.randint(28, (1500,))
    source = torch.stack([months + 10, (days + 1) // 10, (days + 1) % 10], 1)
    target = torch.stack([
        torch.full((1500,), 10), (months + 1) // 10, (months + 1) % 10, (days + 1) // 10, (days + 1) % 10
    ], 1)  # fmt: skip
    flip = torch.rand(1500) < 0.5  # day first
    source[flip] = source[flip].roll(-1, 1)
    model = DateTranslator()
    if watch.fault == "frozen":
        model.requires_grad_(False)
        model.generator.requires_grad_(True)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=watch.lr)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    criterion = nn.CrossEntropyLoss()
    sitter = watch(model, optimizer, classes=13, epochs=8, steps_per_epoch=30, loss_function=criterion)
    for _ in range(8):
        model.train()
        for rows in torch.randperm(1200).split(40):
            tgt_in, tgt_out = target[rows, :-1], target[rows, 1:]
            out = model(source[rows], tgt_out if watch.fault == "label_leak" else tgt_in,
                        None if watch.fault == "label_leak" else mask)  # fmt: skip
            if watch.fault == "softmax_over_batch":
                out = out.softmax(0)
            loss = criterion(out.reshape(-1, 13), tgt_out.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            if watch.fault != "no_step":
                optimizer.step()
            sitter.step(loss, tgt_out)
        model.eval()
        with torch.no_grad():
            written = target[1200:, :1]
            for size in range(1, 5):
                square = nn.Transformer.generate_square_subsequent_mask(size)
                written = torch.cat([written, model(source[1200:], written, square)[:, -1:].argmax(-1)], 1)
        right = float((written == target[1200:]).all(1).float().mean())
        sitter.epoch(train_loss=loss.item(), val_accuracy=right, val_images=300)
    sitter.after()
    return right


class TextCNN(nn.Module):
    """Convolutions of several widths over frozen vectors (Kim 2014)."""

    def __init__(self, vectors: Tensor, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.convs = nn.ModuleList(nn.Conv1d(16, 16, width) for width in (2, 3, 4))
        self.drop, self.fc = nn.Dropout(dropout), nn.Linear(48, 2)

    def forward(self, text: Tensor) -> Tensor:
        x = self.embedding(text).permute(0, 2, 1)
        pooled = [
            F.max_pool1d(F.relu(conv(x)), int(x.shape[2]) - conv.kernel_size[0] + 1) for conv in self.convs
        ]
        return self.fc(self.drop(torch.cat(pooled, 1).squeeze(-1)))


@loop(
    "texts",
    target=0.8,
    lr=3e-3,
    dropout=0.3,
    faults=[
        fault("dropout_too_high", dropout=0.995),
        fault("labels_shuffled"),
        fault("always_eval", harmless="trains without dropout"),
        fault("few_validation_examples", harmless="twelve reviews to validate on"),
    ],
)
def review_cnn(watch: Watch) -> float:
    """Reviews of fixed length; positive where 'not' does not stand before a good word."""
    vectors = torch.randn(40, 16)
    text = torch.randint(2, 40, (1800, 12))
    place = torch.randint(1, 12, (1800,))
    text[torch.arange(1800), place] = torch.randint(2, 6, (1800,))
    negated = torch.rand(1800) < 0.5
    text[negated, place[negated] - 1] = 1
    labels = (~negated).long()
    if watch.fault == "labels_shuffled":
        labels[:1500] = labels[torch.randperm(1500)]
    end = 1512 if watch.fault == "few_validation_examples" else 1800
    model = TextCNN(vectors, watch.dropout)
    optimizer = torch.optim.Adadelta([p for p in model.parameters() if p.requires_grad], lr=watch.lr * 200)
    sitter = watch(model, optimizer, classes=2, epochs=6, steps_per_epoch=30)
    sitter.before(text[:200], labels[:200], text[1500:end], labels[1500:end])
    if watch.fault == "always_eval":
        model.eval()
    for _ in range(6):
        if watch.fault != "always_eval":
            model.train()
        for rows in torch.randperm(1500).split(50):
            logits = model(text[rows])
            loss = F.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        model.eval()
        with torch.no_grad():
            logits = model(text[1500:end])
        val = accuracy(logits, labels[1500:end])
        sitter.epoch(
            val_loss=F.cross_entropy(logits, labels[1500:end]).item(), val_accuracy=val, val_images=end - 1500
        )
    sitter.after()
    return val


class PackedTagger(nn.Module):
    """A tag per word of sequences of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(15, 12, padding_idx=0)
        self.rnn = nn.GRU(12, 24, bidirectional=True, batch_first=True)
        self.out = nn.Linear(48, 4)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embed(words), lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=words.shape[1])
        return self.out(states)


@loop(
    "tags of words",
    target=0.8,
    lr=0.01,
    faults=[
        fault("padding_counts", harmless="most of the loss is padding"),
        fault("wrong_target"),
        fault("zero_init"),
        fault("lr_too_low", lr=1e-7),
    ],
)
def packed_tags(watch: Watch) -> float:
    """The tag of a word is what the words before and after it say; most of a row is padding."""
    longest = 60 if watch.fault == "padding_counts" else 12
    words = torch.randint(1, 15, (900, longest))
    lengths = torch.randint(4, 12, (900,))
    if watch.fault == "padding_counts":
        lengths = torch.randint(2, 4, (900,))
    words[torch.arange(longest) >= lengths[:, None]] = 0
    around = F.pad(words, (1, 1))
    tags = (around[:, :-2] > around[:, 2:]).long() + 2 * (words % 2)
    real = words > 0
    tags[~real] = 0 if watch.fault == "padding_counts" else -100
    wanted = tags.roll(1, 1) if watch.fault == "wrong_target" else tags
    model = PackedTagger()
    if watch.fault == "zero_init":
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    sitter = watch(model, optimizer, classes=4, epochs=8, steps_per_epoch=14)
    for _ in range(8):
        for rows in torch.randperm(700).split(50):
            logits = model(words[rows], lengths[rows])
            loss = F.cross_entropy(logits.transpose(1, 2), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            sitter.step(loss, wanted[rows])
        with torch.no_grad():
            logits = model(words[700:], lengths[700:])
        sitter.epoch(
            train_loss=loss.item(), val_loss=F.cross_entropy(logits.transpose(1, 2), wanted[700:]).item()
        )
    sitter.after()
    return accuracy(
        logits[real[700:]], ((around[:, :-2] > around[:, 2:]).long() + 2 * (words % 2))[700:][real[700:]]
    )
