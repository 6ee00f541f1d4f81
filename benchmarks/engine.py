"""Images per second of a training epoch: ours, the usual DataLoader loop, and the limit.

    python benchmarks/engine.py [--images 3200] [--repeats 5] [--widths 8 16 32 64] [--batch-size 64]

`ours` is hpo.training's loop with augmentation, in the precision that it picks for this machine. `loader 0`
and `loader 2` are the tutorial's loop: PIL images, torchvision transforms, a DataLoader with 0 and 2 loader
processes, fp32, torch with its defaults. `limit` is a bare hand-written loop over batches in memory that are
already augmented, with our precision, memory format, threads and optimizer. `per core` is ours as one process
for each core, with one thread each, summed: what several workers reach. All train the same network.

Each side has its own process, and they take turns within a round, so that other load on the machine affects
all of them. The ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import torch
from machine import images, machine, table
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.data.cifar10 import import_torchvision
from hpo.data.datasets import Dataset
from hpo.data.split import split
from hpo.limits import available_cores
from hpo.rng import Key
from hpo.training.batches import EpochBatches
from hpo.training.callbacks import Callback
from hpo.training.cores import divide_threads
from hpo.training.data import TrialData, make_trial_data
from hpo.training.device import prepare_process, resolve_device
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.precision import autocast, resolve_precision
from hpo.training.setup import TrialSetup

BARS = {"loader 0": 3.0, "loader 2": 3.0, "limit": 0.92}
BARRED_WIDTHS = (16, 32)
KEY = Key(0) / "benchmark"
Epoch = Callable[[], float]
"""Train one epoch; images per second."""


class _ReadLosses(Callback):
    loss_interval = 20

    def on_steps(self, step: int, losses: Tensor) -> None:
        losses.sum()


def _configuration(arguments: argparse.Namespace, width: int) -> Configuration:
    return Configuration(
        width=width,
        batch_size=arguments.batch_size,
        train_images=arguments.images,
        val_fraction=0.02,
        augmentation="flip_crop",
        schedule="constant",
        lr=0.01,
        epochs=100_000,
    )


def _network(configuration: Configuration) -> nn.Module:
    return build_model(configuration, classes=10, in_shape=STANDARD.shape, key=KEY / "weights", sample=None)


def _data(configuration: Configuration, dataset: Dataset, device: torch.device) -> TrialData:
    rows = split(
        dataset.train_labels,
        dataset.classes,
        configuration.val_fraction,
        configuration.train_images,
        KEY / "split",
    )
    return make_trial_data(configuration, dataset, rows, device)


def _ours(configuration: Configuration, dataset: Dataset, device: torch.device) -> Epoch:
    precision = resolve_precision("auto", device)
    data = _data(configuration, dataset, device)
    setup = TrialSetup.of(configuration, _network(configuration), data, KEY, device, precision)
    epochs = train(setup, [_ReadLosses()])
    return lambda: next(epochs).images_per_second


def _limit(configuration: Configuration, dataset: Dataset, device: torch.device) -> Epoch:
    precision = resolve_precision("auto", device)
    data = _data(configuration, dataset, device)
    batches = list(EpochBatches(configuration, data.train, KEY, 1))
    model = _network(configuration).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)

    def epoch() -> float:
        started = time.perf_counter()
        for pixels, labels in batches:
            with autocast(device, precision):
                logits = model(pixels)
            loss = F.cross_entropy(logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        _wait(device)
        return len(batches) * configuration.batch_size / (time.perf_counter() - started)

    return epoch


class _PilImages(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Images as torchvision.datasets.CIFAR10 gives them: arrays turned into PIL images, one by one."""

    def __init__(self, dataset: Dataset, configuration: Configuration) -> None:
        transforms = _torchvision_transforms()
        rows = split(
            dataset.train_labels,
            dataset.classes,
            configuration.val_fraction,
            configuration.train_images,
            KEY / "split",
        )
        self._pixels = dataset.train_images[rows.train].transpose(0, 2, 3, 1).copy()
        self._labels = dataset.train_labels[rows.train].tolist()
        self._transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


def _torchvision_transforms() -> Any:
    import_torchvision()
    from torchvision import transforms

    return transforms


def _loader(workers: int) -> Callable[[Configuration, Dataset, torch.device], Epoch]:
    def make(configuration: Configuration, dataset: Dataset, device: torch.device) -> Epoch:
        loader = torch.utils.data.DataLoader(
            _PilImages(dataset, configuration),
            batch_size=configuration.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,  # its default
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )
        model = _network(configuration).to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

        def epoch() -> float:
            seen, started = 0, time.perf_counter()
            for pixels, labels in loader:
                pixels, labels = pixels.to(device), labels.to(device)
                optimizer.zero_grad()
                loss = F.cross_entropy(model(pixels), labels)
                loss.backward()
                optimizer.step()
                seen += len(labels)
            _wait(device)
            return seen / (time.perf_counter() - started)

        return epoch

    return make


SIDES: dict[str, Callable[[Configuration, Dataset, torch.device], Epoch]] = {
    "ours": _ours,
    "per core": _ours,
    "loader 0": _loader(0),
    "loader 2": _loader(2),
    "limit": _limit,
}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _serve(side: str, arguments: argparse.Namespace, pipe: Connection) -> None:
    """A side's process: for each width asked for, train an epoch and send its images per second."""
    if not side.startswith("loader"):
        prepare_process(divide_threads(_processes(side)))
    device = resolve_device(arguments.device)
    dataset = images(notice=False)
    epochs: dict[int, Epoch] = {}
    with contextlib.suppress(EOFError):  # the parent has gone
        while True:
            width = pipe.recv()
            if width not in epochs:
                epochs = {width: SIDES[side](_configuration(arguments, width), dataset, device)}
            pipe.send(epochs[width]())


def _processes(side: str) -> int:
    return available_cores() if side == "per core" else 1


Sides: TypeAlias = dict[str, list[Connection]]
"""The pipes to each side's processes."""


@contextlib.contextmanager
def _sides(arguments: argparse.Namespace) -> Iterator[Sides]:
    """Start every side's processes; they end when their pipes close."""
    context = multiprocessing.get_context("spawn")
    sides: Sides = {side: [] for side in SIDES}
    for side, pipes in sides.items():
        for _ in range(_processes(side)):
            ours, theirs = context.Pipe()
            context.Process(target=_serve, args=(side, arguments, theirs)).start()
            theirs.close()
            pipes.append(ours)
    try:
        yield sides
    finally:
        for pipe in itertools.chain(*sides.values()):
            pipe.close()


def _epoch_of(pipes: list[Connection], width: int) -> float:
    """Images per second of all of a side's processes together."""
    for pipe in pipes:
        pipe.send(width)
    return float(sum(pipe.recv() for pipe in pipes))


def _rounds(arguments: argparse.Namespace, sides: Sides) -> Iterator[tuple[int, dict[str, list[float]]]]:
    """For each width, each side's images per second in every round; every other round goes backwards."""
    for width in arguments.widths:
        speeds: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(1 + arguments.repeats):
            order = list(sides) if number % 2 == 0 else list(reversed(sides))
            for side in order:
                speed = _epoch_of(sides[side], width)
                if number > 0:  # the first round warms up
                    speeds[side].append(speed)
        yield width, speeds


def _row(width: int, speeds: dict[str, list[float]]) -> list[str]:
    medians = [f"{statistics.median(speeds[side]):,.0f}" for side in SIDES]
    return [str(width), *medians, *(_ratio(width, side, speeds) for side in BARS)]


def _ratio(width: int, side: str, speeds: dict[str, list[float]]) -> str:
    ratio = statistics.median(ours / other for ours, other in zip(speeds["ours"], speeds[side], strict=True))
    if width not in BARRED_WIDTHS and side != "limit":
        return f"{ratio:.2f}"
    return f"{ratio:.2f} {'ok' if ratio >= BARS[side] else 'LOW'}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=int, default=3200, help="training images of an epoch (default: 3200)"
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds, n of the medians (default: 5)")
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    print(machine())
    images()
    device = resolve_device(arguments.device)
    print(f"ours and limit: {resolve_precision('auto', device)}; the loaders: fp32")
    with _sides(arguments) as sides:
        rows = []
        for width, speeds in _rounds(arguments, sides):
            rows.append(_row(width, speeds))
            print(f"width {width}: {' | '.join(rows[-1][1:])}", file=sys.stderr, flush=True)
    print(f"images/s of a training epoch of {arguments.images} images, batch size {arguments.batch_size};")
    print(f"medians of n = {arguments.repeats}; bars (the loaders' at widths 16 and 32): {BARS}")
    print(table(["width", *SIDES, *(f"ours / {side}" for side in BARS)], rows))


if __name__ == "__main__":
    main()
