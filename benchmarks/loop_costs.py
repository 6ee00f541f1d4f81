"""What ``hpo.Babysitter`` costs in loops of one's own: processor time with it over the time without it.

    python benchmarks/loop_costs.py [--seconds 2 20 60] [--loops cnn_64 mlp ...] [--rounds 1] [--parts]

Each loop is trained twice at the same time, watched and alone, in turns of a tenth of a second, so that other
load meets both. The watched one calls ``before``, ``step``, ``epoch`` and ``after`` as docs/checks.md shows;
the time until training begins, which does not grow with its length, is the start.
``--parts`` also lists which parts of the babysitter the time goes to.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from machine import machine, table
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.babysitter import Babysitter
from hpo.checks.guard import Guard

MOST = 0.02
MOST_OF_MODULES = 0.05
TURN = 0.1
"""Seconds."""
CALIBRATED = 12
EXAMPLES = 256


@dataclass(frozen=True)
class Loop:
    """A training: its network, its data, its loss."""

    model: Callable[[], nn.Module]
    data: Callable[[], tuple[Tensor, Tensor]]
    """Inputs and labels (N, ...)."""
    loss: Callable[[Tensor, Tensor], Tensor]
    batch: int
    adam: bool = False
    bar: float = MOST


def _images() -> tuple[Tensor, Tensor]:
    labels = torch.randint(10, (4000,))
    return torch.randn(4000, 3, 32, 32) + torch.randn(10, 3, 1, 1)[labels], labels


def _table() -> tuple[Tensor, Tensor]:
    rows = torch.randn(8000, 20)
    return rows, (rows[:, :1] * rows[:, 1:2]).tanh() + 0.1 * torch.randn(8000, 1)


def _texts() -> tuple[Tensor, Tensor]:
    tokens = torch.randint(200, (4000, 65)).cumsum(1) % 200
    return tokens[:, :-1], tokens[:, 1:]


def _rows() -> tuple[Tensor, Tensor]:
    return torch.randn(8000, 8), torch.arange(8000) % 3


def _cnn() -> nn.Module:
    layers: list[nn.Module] = []
    for given, made in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(given, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 128), nn.ReLU(), nn.Linear(128, 10))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


class _Recurrent(nn.Module):
    """A language model of one LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell, self.head = (
            nn.Embedding(200, 64),
            nn.LSTM(64, 128, batch_first=True),
            nn.Linear(128, 200),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.head(self.cell(self.words(tokens))[0])
        return scores


class _Transformer(nn.Module):
    """A language model of four layers of attention."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 512, batch_first=True)
        self.words, self.places = nn.Embedding(200, 128), nn.Parameter(torch.randn(64, 128) / 10)
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(128, 200)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        scores: Tensor = self.head(self.layers(self.words(tokens) + self.places, mask, is_causal=True))
        return scores


class _Block(nn.Module):
    """Four modules, itself included, in a residual network."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer, self.activation = nn.LayerNorm(8), nn.Linear(8, 8), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.activation(self.layer(self.norm(x)))
        return x + 0.01 * added


def _modules() -> nn.Module:
    return nn.Sequential(*(_Block() for _ in range(2500)), nn.Linear(8, 3))


def _of_tokens(scores: Tensor, tokens: Tensor) -> Tensor:
    return F.cross_entropy(scores.flatten(0, 1), tokens.flatten())


LOOPS = {
    "cnn_64": Loop(_cnn, _images, F.cross_entropy, 64),
    "cnn_256": Loop(_cnn, _images, F.cross_entropy, 256),
    "mlp": Loop(_mlp, _table, F.mse_loss, 32, adam=True),
    "lstm": Loop(_Recurrent, _texts, _of_tokens, 32, adam=True),
    "transformer": Loop(_Transformer, _texts, _of_tokens, 32, adam=True),
    "modules_10000": Loop(_modules, _rows, F.cross_entropy, 64, bar=MOST_OF_MODULES),
}
HEADER = ["loop", "steps", "ms a step", "start, s", "alone, s", "watched, s", "cost", "after start", "bar"]
STEPS_PER_EPOCH = {"cnn_256": 196, "mlp": 250}
USUAL = 782


def _training(loop: Loop, steps: int, per_epoch: int, *, watched: bool) -> Iterator[int]:
    """Train; yield with the data made, when training begins, after each step, and after the end."""
    torch.manual_seed(0)
    inputs, labels = loop.data()
    model = loop.model()
    weights = list(model.parameters())
    sgd = functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9)
    optimizer: torch.optim.Optimizer = torch.optim.Adam(weights) if loop.adam else sgd(weights)
    draw = torch.Generator().manual_seed(1)
    cut = len(inputs) - 500
    yield 0
    sitter = None
    if watched:
        epochs = -(-steps // per_epoch)
        sitter = Babysitter(
            model, optimizer, epochs=epochs, steps_per_epoch=per_epoch, loss_function=loop.loss
        )
        some = slice(cut, cut + EXAMPLES)
        sitter.before(inputs[:EXAMPLES], labels[:EXAMPLES], inputs[some], labels[some])
    yield 0
    for step in range(1, steps + 1):
        rows = torch.randint(cut, (loop.batch,), generator=draw)
        batch, wanted = inputs[rows], labels[rows]
        loss = loop.loss(model(batch), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if sitter is not None:
            sitter.step(loss, wanted)
        yield step
        if step % per_epoch == 0 or step == steps:
            numbers = _validated(model, loop, inputs[cut:], labels[cut:])
            if sitter is not None:
                sitter.epoch(**numbers)
    if sitter is not None:
        sitter.after()
        sitter.verdict()
    yield steps


@torch.no_grad()
def _validated(model: nn.Module, loop: Loop, inputs: Tensor, labels: Tensor) -> dict[str, Any]:
    model.eval()
    losses = [
        loop.loss(model(x), y)
        for x, y in zip(inputs.split(loop.batch), labels.split(loop.batch), strict=True)
    ]
    model.train()
    return {"val_loss": float(torch.stack(losses).mean())}


def _in_turns(both: tuple[Iterator[int], Iterator[int]], turn: int) -> tuple[float, float]:
    """Return the processor time of each of two trainings that take turns of so many steps."""
    spent = [0.0, 0.0]
    left = [0, 1]
    while left:
        for side in list(left):
            started = time.process_time()
            for _ in range(turn):
                if next(both[side], None) is None:
                    left.remove(side)
                    break
            spent[side] += time.process_time() - started
    return spent[0], spent[1]


def _step_seconds(loop: Loop) -> float:
    """Return the median processor time of a step."""
    training, seconds = _training(loop, CALIBRATED * 3, CALIBRATED * 100, watched=False), []
    for _ in training:
        started = time.process_time()
        next(training, None)
        seconds.append(time.process_time() - started)
    return statistics.median(seconds[4:])


class Parts:
    """Processor time and calls of each part of the babysitter, the innermost counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._stack: list[float] = []

    def watch(self) -> None:
        """Time every call of a guard."""
        run = Guard.run

        def timed(guard: Guard, part: str, call: Any, default: Any, advice: str = "") -> Any:
            started = time.process_time()
            self._stack.append(0.0)
            try:
                return run(guard, part, call, default, advice)
            finally:
                whole = time.process_time() - started
                inner = self._stack.pop()
                self.seconds[part] += whole - inner
                self.calls[part] += 1
                if self._stack:
                    self._stack[-1] += whole

        Guard.run = timed  # type: ignore[assignment, method-assign]

    def table(self, alone: float) -> str:
        """Return the dearest parts and forget them."""
        ordered = sorted(self.seconds, key=lambda part: -self.seconds[part])[:12]
        rows = [
            [
                part,
                f"{self.calls[part]}",
                f"{1000 * self.seconds[part]:.1f}",
                f"{self.seconds[part] / alone:.2%}",
            ]
            for part in ordered
        ]
        self.seconds.clear()
        self.calls.clear()
        return table(["part", "calls", "ms", "of alone"], rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[2, 20, 60])
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--parts", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts = Parts()
    if arguments.parts:
        parts.watch()
    rows = []
    for name in arguments.loops:
        loop = LOOPS[name]
        each = _step_seconds(loop)
        for seconds in arguments.seconds:
            rows.append(_row(name, loop, each, seconds, arguments.rounds))
            print(" ".join(rows[-1]), flush=True)
            if arguments.parts:
                print(parts.table(float(rows[-1][4])), flush=True)
    print(f"\n{machine()}; medians of n = {arguments.rounds}, processor time")
    print(table(HEADER, rows))


def _row(name: str, loop: Loop, each: float, seconds: float, rounds: int) -> list[str]:
    steps = max(4, round(seconds / each))
    per_epoch = min(steps, STEPS_PER_EPOCH.get(name, USUAL))
    trials = []
    for _ in range(rounds):
        alone, watched = (_training(loop, steps, per_epoch, watched=side) for side in (False, True))
        next(alone), next(watched), next(alone)
        started = time.process_time()
        next(watched)
        start = time.process_time() - started
        trials.append((start, *_in_turns((alone, watched), max(1, round(TURN / each)))))
    whole = statistics.median((start + watched) / alone - 1 for start, alone, watched in trials)
    share = statistics.median(watched / alone - 1 for _, alone, watched in trials)
    numbers = map(statistics.median, zip(*trials, strict=True))
    return [
        name,
        f"{steps}",
        f"{1000 * each:.2f}",
        *(f"{number:.2f}" for number in numbers),
        f"{whole:+.1%}",
        f"{share:+.1%}",
        f"{loop.bar:.0%} {'ok' if share <= loop.bar else 'HIGH'}",
    ]


if __name__ == "__main__":
    main()
