"""Larger images: training speed at 64 and 128 pixels, and the memory of workers on 100,000 of 64.

    python benchmarks/image_sizes.py speed [--sizes 64 128] [--images 1024] [--repeats 5]
    python benchmarks/image_sizes.py memory [--images 100000] [--size 64] [--workers 2]

`speed` draws JPEG files of the training size (larger files would cost the loaders more) and trains the
default network. `ours` is hpo.training's loop with augmentation. `loader` is the usual loop: torchvision's
ImageFolder and v2 transforms (random crop, flip, normalization), a DataLoader with one process for each core,
fp32. `loader bf16` is the same in our precision and memory format. `bare` is a hand-written loop over
augmented batches in memory, in our precision. Sides have their own processes and take turns. Ratios are
medians of the rounds' ratios, of wall time, and of processor time (with that of the loaders' processes),
which other load disturbs less. Each side has one thread of PyTorch, as a worker of a study has.

`memory` makes a folder of that many files (hard links to 2,000 drawn pictures, each decoded on its own), and
runs a study on it with local workers. It gives the peaks of each process: `own` is anonymous memory
(RssAnon), `mapped` the pages of files that it has mapped (RssFile: images, which the kernel can drop and all
workers share, and libraries), `resident` both (RSS), for which the bar is, and `share` the proportional set
size (PSS), in which a page that two processes map counts half for each.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from machine import machine, table
from PIL import Image
from torch import nn
from torch.nn import functional as F

from hpo.config.configuration import Configuration
from hpo.config.image_format import ImageFormat
from hpo.config.study import StudySpec
from hpo.data.cifar10 import import_torchvision
from hpo.data.datasets import Dataset, load_dataset
from hpo.data.split import split
from hpo.limits import available_cores
from hpo.rng import Key
from hpo.settings import settings
from hpo.training.batches import EpochBatches
from hpo.training.data import TrialData, make_trial_data
from hpo.training.device import prepare_process
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.precision import autocast, resolve_precision
from hpo.training.setup import TrialSetup
from hpo.workers.run import run_study

BARS = {"loader": 3.0, "bare": 0.9}
MOST_MB = 1_000
KEY = Key(0) / "image sizes"
CPU = torch.device("cpu")
CLASSES = 10
BATCH = 64
VAL = 0.03
Epoch = Callable[[], int]
"""Train one epoch; the number of images."""


def draw(folder: Path, count: int, side: int, ending: str) -> None:
    """Draw pictures of noise around a colored disc, in one folder for each class."""
    random = np.random.default_rng(side)
    rows, columns = np.mgrid[:side, :side]
    for number in range(count):
        name = folder / f"class{number % CLASSES}"
        name.mkdir(parents=True, exist_ok=True)
        disc = (rows - random.uniform(0, side)) ** 2 + (columns - random.uniform(0, side)) ** 2
        pixels = random.normal(110, 30, (side, side, 3)) + 60 * (disc < side * side / 9)[..., None]
        pixels[..., number % 3] += 5 * (number % CLASSES)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(name / f"{number:06}.{ending}", quality=90)


def _configuration(arguments: argparse.Namespace) -> Configuration:
    return Configuration(
        dataset="folder", batch_size=BATCH, val_fraction=VAL, schedule="constant", lr=0.01, epochs=100_000
    )


def _dataset(arguments: argparse.Namespace, side: int) -> Dataset:
    return load_dataset(
        "folder", ImageFormat(side, side), root=arguments.root / str(side), settings=settings()
    )


def _network(side: int) -> nn.Module:
    return build_model(
        Configuration(), classes=CLASSES, in_shape=(3, side, side), key=KEY / "weights", sample=None
    )


def _data(arguments: argparse.Namespace, side: int) -> TrialData:
    dataset = _dataset(arguments, side)
    rows = split(dataset.train_labels, dataset.classes, VAL, None, KEY / "split")
    return make_trial_data(_configuration(arguments), dataset, rows, CPU)


def _ours(arguments: argparse.Namespace, side: int) -> Epoch:
    configuration, data = _configuration(arguments), _data(arguments, side)
    precision = resolve_precision("auto", CPU)
    setup = TrialSetup.of(configuration, _network(side), data, KEY, CPU, precision)
    epochs = train(setup)

    def epoch() -> int:
        next(epochs)  # with the evaluation of its few validation images
        return setup.steps_per_epoch * BATCH

    return epoch


def _bare(arguments: argparse.Namespace, side: int) -> Epoch:
    batches = list(EpochBatches(_configuration(arguments), _data(arguments, side).train, KEY, 1))
    step = _step(side, ours=True)

    def epoch() -> int:
        for pixels, labels in batches:
            step(pixels, labels)
        return len(batches) * BATCH

    return epoch


def _step(side: int, *, ours: bool) -> Callable[[torch.Tensor, torch.Tensor], None]:
    precision = resolve_precision("auto", CPU) if ours else "fp32"
    model = _network(side)
    if ours:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=ours)

    def step(pixels: torch.Tensor, labels: torch.Tensor) -> None:
        if ours:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        with autocast(CPU, precision):
            logits = model(pixels)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def _loader(ours: bool) -> Callable[[argparse.Namespace, int], Epoch]:
    def make(arguments: argparse.Namespace, side: int) -> Epoch:
        datasets: Any = import_torchvision().datasets
        from torchvision.transforms import v2

        transform = v2.Compose(
            [
                v2.RandomCrop(side, padding=side // 8),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.45, 0.45, 0.45), (0.2, 0.2, 0.2)),
            ]
        )
        loader = torch.utils.data.DataLoader(
            datasets.ImageFolder(arguments.root / str(side), transform),
            batch_size=BATCH,
            shuffle=True,
            drop_last=True,
            num_workers=available_cores(),
            multiprocessing_context="fork" if sys.platform == "linux" else None,
            persistent_workers=True,
        )
        step = _step(side, ours=ours)

        def epoch() -> int:
            for pixels, labels in loader:
                step(pixels, labels)
            return len(loader) * BATCH

        return epoch

    return make


SIDES: dict[str, Callable[[argparse.Namespace, int], Epoch]] = {
    "ours": _ours,
    "loader": _loader(ours=False),
    "loader bf16": _loader(ours=True),
    "bare": _bare,
}


def _serve(name: str, arguments: argparse.Namespace, pipe: Connection) -> None:
    """A side's process: train an epoch at each size asked for; send images per second of wall and of CPU."""
    if not name.startswith("loader"):
        prepare_process(arguments.threads)
    else:
        torch.set_num_threads(arguments.threads)
    epochs: dict[int, Epoch] = {}
    with contextlib.suppress(EOFError):
        while True:
            side = pipe.recv()
            if side not in epochs:
                epochs = {side: SIDES[name](arguments, side)}
            began, used = time.perf_counter(), _processor_seconds()
            count = epochs[side]()
            pipe.send((count / (time.perf_counter() - began), count / (_processor_seconds() - used)))


def _processor_seconds() -> float:
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in processes)


@contextlib.contextmanager
def _sides(arguments: argparse.Namespace) -> Iterator[dict[str, Connection]]:
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name in SIDES:
        pipes[name], theirs = context.Pipe()
        context.Process(target=_serve, args=(name, arguments, theirs)).start()
        theirs.close()
    try:
        yield pipes
    finally:
        for pipe in pipes.values():
            pipe.close()


def speed(arguments: argparse.Namespace) -> None:
    """Print images per second of each side at each size."""
    with tempfile.TemporaryDirectory() as folder:
        arguments.root = Path(folder)
        for side in arguments.sizes:
            draw(arguments.root / str(side), arguments.images, side, "jpg")
            _dataset(arguments, side)  # decoded once, as the first trial of a study does
        rows = []
        with _sides(arguments) as pipes:
            for side in arguments.sizes:
                rows += _rows(side, _rounds(side, pipes, arguments.repeats))
    print(
        f"{resolve_precision('auto', CPU)}; {arguments.images} JPEG files; medians of n = {arguments.repeats}"
    )
    print(table(["side", "images/s of", *SIDES, *(f"ours / {name}" for name in [*SIDES][1:])], rows))
    print(f"bars: {BARS}")


def _rounds(side: int, pipes: dict[str, Connection], repeats: int) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in pipes}
    for number in range(1 + repeats):
        for name in [*pipes] if number % 2 == 0 else [*reversed(pipes)]:
            pipes[name].send(side)
            speeds = pipes[name].recv()
            if number:  # the first round warms up
                found[name].append(speeds)
                print(side, name, *(f"{each:,.0f}" for each in speeds), file=sys.stderr, flush=True)
    return found


def _rows(side: int, found: dict[str, list[tuple[float, float]]]) -> Iterator[list[str]]:
    for place, of in enumerate(("wall time", "processor time")):
        speeds = {name: [each[place] for each in rounds] for name, rounds in found.items()}
        ratios = [
            statistics.median(ours / other for ours, other in zip(speeds["ours"], speeds[name], strict=True))
            for name in [*SIDES][1:]
        ]
        medians = [f"{statistics.median(each):,.0f}" for each in speeds.values()]
        yield [str(side), of, *medians, *(f"{each:.2f}" for each in ratios)]


class _Peaks(threading.Thread):
    """Reads the memory of this process and of its workers a few times a second until stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.25):
            workers = [child.pid for child in multiprocessing.active_children() if child.pid]
            for pid in (os.getpid(), *workers):
                with contextlib.suppress(OSError, psutil.Error):
                    for kind, size in _memory(pid).items():
                        self.peaks[pid][kind] = max(self.peaks[pid][kind], size)


def _memory(pid: int) -> dict[str, float]:
    status, rollup = (Path(f"/proc/{pid}/{name}").read_text() for name in ("status", "smaps_rollup"))
    wanted = {"RssAnon": "own", "RssFile": "mapped", "VmRSS": "resident", "Pss": "share"}
    found = {}
    for line in itertools.chain(status.splitlines(), rollup.splitlines()):
        name, _, size = line.partition(":")
        if name in wanted:
            found[wanted[name]] = int(size.split()[0]) * 1024 / 1e6
    return found


def memory(arguments: argparse.Namespace) -> None:
    """Print the peak memory of each worker of a study on many images."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        drawn = min(2_000, arguments.images)
        draw(root, drawn, arguments.size, "png")
        for path in sorted(root.rglob("*.png")):
            for copy in range(1, arguments.images // drawn):
                os.link(path, path.with_name(f"{path.stem}-{copy}.png"))
        began = time.perf_counter()
        peaks = _Peaks()
        peaks.start()
        fixed = {"dataset": "folder", "data_root": str(root), "image_size": str(arguments.size)}
        spec = StudySpec.model_validate(
            {
                "study": "memory",
                "trials": arguments.workers,
                "fixed": fixed | {"epochs": 1, "width": arguments.width},
                "space": {"lr": {"log": [0.01, 0.1]}},
            }
        )
        url = f"sqlite:///{folder}/hpo.db"
        summary = run_study(spec, url, workers=arguments.workers, device="cpu", on_event=lambda event: None)
        assert summary.finished == spec.trials, summary.problems
        peaks.over.set()
        peaks.join()
    print(
        f"{arguments.images:,} images of {arguments.size} x {arguments.size} pixels "
        f"({arguments.images * 3 * arguments.size**2 / 1e6:,.0f} MB), {arguments.workers} workers, one epoch "
        f"each: {time.perf_counter() - began:,.0f} s with decoding; peaks in MB"
    )
    rows = [
        ["decodes, then waits" if pid == os.getpid() else "worker", *(f"{each[kind]:,.0f}" for kind in KINDS)]
        for pid, each in peaks.peaks.items()
    ]
    print(table(["process", *KINDS], rows))
    most = max(each["resident"] for each in peaks.peaks.values())
    print(f"most {most:,.0f} MB {'ok' if most <= MOST_MB else 'HIGH'} (bar for resident: {MOST_MB:,} MB)")


KINDS = ("own", "mapped", "resident", "share")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("speed")
    one.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    one.add_argument("--images", type=int, default=1024)
    one.add_argument("--repeats", type=int, default=5)
    one.add_argument("--threads", type=int, default=1, help="of PyTorch on each side (default: 1)")
    other = parts.add_parser("memory")
    other.add_argument("--images", type=int, default=100_000)
    other.add_argument("--size", type=int, default=64)
    other.add_argument("--width", type=int, default=16)
    other.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print(machine())
    {"speed": speed, "memory": memory}[arguments.part](arguments)


if __name__ == "__main__":
    main()
