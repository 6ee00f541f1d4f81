"""What is seen and heard: captions of pictures, spectrograms of sounds."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from loop_programs import drawn
from loop_programs.program import fault, loop
from loop_programs.scores import accuracy
from loop_programs.watch import Watch


class Captioner(nn.Module):
    """A picture starts the memory of a decoder; logits (B, T, 14) of the next word."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 48))
        self.words, self.decoder = nn.Embedding(14, 16, padding_idx=0), nn.GRU(16, 48, batch_first=True)
        self.head = nn.Linear(48, 14)

    def forward(self, pictures: Tensor, words: Tensor) -> Tensor:
        start = torch.tanh(self.encoder(pictures)).unsqueeze(0)
        return self.head(self.decoder(self.words(words), start)[0])


@loop(
    "captions",
    target=0.7,
    lr=6e-3,
    faults=[fault("padding_counts", harmless="most of the loss is padding"), fault("label_leak"),
            fault("ignores_input"), fault("labels_shuffled"), fault("detached")],
)  # fmt: skip
def captions(watch: Watch) -> float:
    """Spells the digit: pictures to words of different lengths, padded by a collate function."""
    pictures, labels = drawn.digits(1300, noise=0.05)
    spelled = ["3", "45", "467", "4678", "456", "789", "98", "5", "6543", "33"]
    longest = 16 if watch.fault == "padding_counts" else 6

    def collate(rows: list[int]) -> tuple[Tensor, Tensor]:
        texts = [torch.tensor([1, *(int(c) + 3 for c in spelled[labels[row]]), 2]) for row in rows]
        words = pad_sequence([*texts, torch.zeros(longest, dtype=torch.long)], batch_first=True)[:-1]
        return pictures[rows], words

    if watch.fault == "labels_shuffled":
        labels = torch.cat([labels[torch.randperm(1000)], labels[1000:]])
    model = Captioner()
    if watch.fault == "detached":
        model.encoder.register_forward_hook(lambda module, inputs, output: output.detach())
        nn.init.normal_(model.encoder[1].weight, std=1e-3)
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    ignored = -100 if watch.fault == "padding_counts" else 0
    criterion = nn.CrossEntropyLoss(ignore_index=ignored)
    sitter = watch(model, optimizer, classes=14, epochs=12, steps_per_epoch=25)
    for _ in range(12):
        model.train()
        for rows in torch.randperm(1000).split(40):
            batch, words = collate(rows.tolist())
            if watch.fault == "ignores_input":
                batch = torch.zeros_like(batch)
            given = words[:, 1:] if watch.fault == "label_leak" else words[:, :-1]
            loss = criterion(model(batch, given).flatten(0, 1), words[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
        model.eval()
        batch, words = collate(list(range(1000, 1300)))
        with torch.no_grad():
            said = torch.ones(300, 1, dtype=torch.long)
            for _ in range(words.shape[1] - 1):
                said = torch.cat([said, model(batch, said)[:, -1:].argmax(2)], 1)
        right = float(((said == words) | (words == 0)).all(1).float().mean())
        sitter.epoch(val_accuracy=right, val_images=300)
    sitter.after()
    return right


@loop(
    "spectrograms",
    target=0.85,
    lr=3e-3,
    faults=[
        fault("validation_differs"),
        fault("scaled_to_nothing"),
        fault("not_shuffled"),
        fault("validation_in_training", harmless="the recordings of validation are trained on"),
    ],
)
def spectrograms(watch: Watch) -> float:
    """Short-time Fourier transforms, then a network over time with the mean at the end."""
    waves, labels = drawn.sounds(1000)
    val_waves, val_labels = drawn.sounds(200, seed=1)
    if watch.fault == "validation_in_training":
        waves, labels = torch.cat([waves, val_waves]), torch.cat([labels, val_labels])
    if watch.fault == "not_shuffled":
        waves, labels = waves[labels.argsort()], labels.sort().values
    window = torch.hann_window(64)

    def picture(waves: Tensor) -> Tensor:
        parts = torch.stft(waves[:, 0], 64, 32, window=window, return_complex=True).abs()
        return (parts + 1e-3).log()

    if watch.fault == "validation_differs":  # recorded at half the rate
        val_waves = val_waves[:, :, ::2]
    x, val_x = picture(waves), picture(val_waves)
    if watch.fault == "scaled_to_nothing":
        x, val_x = x * 1e-6, val_x * 1e-6
    act = nn.Tanh()
    model = nn.Sequential(
        nn.Conv1d(33, 24, 3), act, nn.Conv1d(24, 24, 3), act,
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=watch.lr)
    steps = len(x) // 40
    sitter = watch(
        model, optimizer, classes=5, epochs=5, steps_per_epoch=steps, loss_function=F.cross_entropy
    )
    sitter.before(x[:200], labels[:200], val_x, val_labels)
    for _ in range(5):
        order = torch.arange(len(x)) if watch.fault == "not_shuffled" else torch.randperm(len(x))
        for rows in order[: steps * 40].split(40):
            loss = F.cross_entropy(model(x[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels[rows])
        with torch.no_grad():
            logits = model(val_x)
        val = accuracy(logits, val_labels)
        sitter.epoch(val_loss=F.cross_entropy(logits, val_labels).item(), val_accuracy=val, val_images=200)
    sitter.after()
    return val
