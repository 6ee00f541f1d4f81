"""How much sooner hpo reaches the best accuracy of a plain Optuna and PyTorch script.

    python benchmarks/time_to_target.py [--trials 24] [--epochs 5] [--images 10000] [--width 16]

`plain` is Optuna's own PyTorch example adapted to CIFAR-10: one process, PIL images, torchvision transforms,
a DataLoader, fp32, a random sampler, no pruning, a constant learning rate. `ours` is `hpo run` on the same
space, with the same network, images, epochs and number of trials, as hpo starts it on this machine: start of
processes and database included. It uses the options of a study file that save time: `first: defaults`, so
that the first trial is hpo's default configuration, and `pruner: asha`. Decoding the images, done once per
machine, is not counted for either side.

`ours` runs twice: with hpo's own schedule of the learning rate (cosine), the default, to which the bar
applies; and with a constant one, so that each training is the same as plain's.

For each seed `plain` runs first, alone, which gives the time of its best value; then each of ours, alone,
until a drawn trial is as good, or all are done. The ratio is plain's time over ours until any trial was as
good, 0 if none was; the bar is for the median over the seeds. `drawn` excludes the first trial, which was not
drawn.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
import yaml
from machine import images, machine, table
from torch import Tensor
from torch.nn import functional as F

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.data.cifar10 import import_torchvision
from hpo.data.datasets import Dataset
from hpo.data.split import split, split_key
from hpo.rng import Key
from hpo.training.model_factory import build_model

BAR, GOAL = 8.0, 15.0
SCHEDULES = ("cosine", "constant")
"""hpo's own, and the plain script's."""
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SPACE: dict[str, dict[str, list[Any]]] = {
    "lr": {"log": [1e-4, 1.0]},
    "weight_decay": {"log": [1e-6, 1e-1]},
    "activation": {"choice": ["relu", "leaky_relu", "elu", "tanh", "sigmoid"]},
    "initializer": {"choice": ["he", "xavier", "small_gaussian"]},
    "batch_norm": {"choice": ["none", "before", "after"]},
}
"""That of studies/quickstart.yaml, and wider."""


@dataclass(frozen=True)
class Point:
    """A trial that has ended, and how many seconds after the start."""

    seconds: float
    value: float
    drawn: bool = True


def fixed(arguments: argparse.Namespace, dataset: str) -> dict[str, Any]:
    """What both sides train with."""
    return {
        "dataset": dataset,
        "train_images": arguments.images,
        "width": arguments.width,
        "epochs": arguments.epochs,
        "batch_size": 64,
        "augmentation": "flip_crop",
        "optimizer": "sgd",
    }


class _PilImages(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Images as torchvision.datasets.CIFAR10 gives them: arrays turned into PIL images, one by one."""

    def __init__(self, dataset: Dataset, rows: np.ndarray, transform: Any) -> None:
        self._pixels = dataset.train_images[rows].transpose(0, 2, 3, 1).copy()
        self._labels = dataset.train_labels[rows].tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


def plain(arguments: argparse.Namespace, seed: int, pipe: Connection) -> None:
    """Optuna's example (github.com/optuna/optuna-examples, pytorch_simple.py), in a separate process."""
    began = time.perf_counter()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dataset = images(notice=False)
    train, val = _loaders(arguments, dataset, seed)

    def objective(trial: optuna.Trial) -> float:
        values: dict[str, Any] = {}
        for name, distribution in SPACE.items():
            ((kind, ends),) = distribution.items()
            if kind == "choice":
                values[name] = trial.suggest_categorical(name, ends)
            else:
                values[name] = trial.suggest_float(name, *ends, log=True)
        return _plain_training(Configuration(**fixed(arguments, dataset.name), **values), train, val)

    def ended(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        pipe.send(Point(time.perf_counter() - began, float(trial.value or 0.0)))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed))
    study.optimize(objective, n_trials=arguments.trials, callbacks=[ended])
    pipe.close()


def _loaders(arguments: argparse.Namespace, dataset: Dataset, seed: int) -> tuple[Any, Any]:
    import_torchvision()
    from torchvision import transforms

    usual = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    augmented = transforms.Compose(
        [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *usual]
    )
    rows = split(
        dataset.train_labels, dataset.classes, arguments.val_fraction, arguments.images, split_key(Key(seed))
    )
    train = _PilImages(dataset, rows.train, augmented)
    val = _PilImages(dataset, rows.val, transforms.Compose(usual))
    workers: dict[str, Any] = {"num_workers": arguments.loaders}
    if arguments.loaders and sys.platform == "linux":
        workers["multiprocessing_context"] = "fork"  # the default, not inherited by this spawned process
    return (
        torch.utils.data.DataLoader(train, batch_size=64, shuffle=True, **workers),
        torch.utils.data.DataLoader(val, batch_size=64, **workers),
    )


def _plain_training(configuration: Configuration, train: Any, val: Any) -> float:
    """The last epoch's validation accuracy, as the example returns it; 0 if the loss was not a number."""
    model = build_model(
        configuration, classes=10, in_shape=STANDARD.shape, key=Key(0) / configuration.lr.hex(), sample=None
    )
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=configuration.lr,
        momentum=configuration.momentum,
        weight_decay=configuration.weight_decay,
    )
    accuracy = 0.0
    for _ in range(configuration.epochs):
        model.train()
        for pixels, labels in train:
            optimizer.zero_grad()
            F.cross_entropy(model(pixels), labels).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = [int((model(pixels).argmax(1) == labels).sum()) for pixels, labels in val]
        accuracy = sum(right) / len(val.dataset)
    return accuracy


def run_plain(arguments: argparse.Namespace, seed: int) -> Iterator[Point]:
    """Yield every trial of the plain script as it ends."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=plain, args=(arguments, seed, theirs))
    process.start()
    theirs.close()
    for _ in range(arguments.trials):
        yield ours.recv()
    process.join()


def run_ours(
    arguments: argparse.Namespace, seed: int, dataset: str, target: float, schedule: str
) -> Iterator[Point]:
    """Yield our trials as they end, until a drawn one is as good as ``target``."""
    document = {
        "study": "race",
        "seed": seed,
        "trials": arguments.trials,
        "pruner": "asha",
        "first": "defaults",
        "keep_best": 0,
        "fixed": {
            **fixed(arguments, dataset),
            "val_fraction": arguments.val_fraction,
            "schedule": schedule,
        },
        "space": SPACE,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "race.yaml"
        path.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "hpo", "run", str(path), "--json", "--storage"]
        began = time.perf_counter()
        with subprocess.Popen(
            [*command, f"sqlite:///{folder}/race.db"], stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            slots: dict[int, int] = {}
            for event in map(json.loads, run.stdout):
                if event["event"] == "trial_started":
                    slots[event["number"]] = event["slot"]
                if event["event"] != "trial_ended":
                    continue
                point = Point(
                    time.perf_counter() - began, event["value"] or 0.0, drawn=slots[event["number"]] > 0
                )
                yield point
                if point.drawn and point.value >= target:
                    run.terminate()
                    break
            run.communicate()


def race(arguments: argparse.Namespace, seed: int, dataset: str) -> list[list[str]]:
    """Return one seed's rows of the table."""
    theirs = list(run_plain(arguments, seed))
    target = max(point.value for point in theirs)
    reached = next(point.seconds for point in theirs if point.value == target)
    rows = []
    for schedule in SCHEDULES:
        ours = list(run_ours(arguments, seed, dataset, target, schedule))
        as_good = [point for point in ours if point.value >= target]
        drawn = [point for point in as_good if point.drawn]
        rows.append(
            [
                str(seed),
                schedule,
                f"{theirs[-1].seconds:.0f}",
                f"{target:.4f}",
                f"{reached:.1f}",
                f"{ours[-1].seconds:.0f}",
                f"{max(point.value for point in ours):.4f}",
                *_reached(reached, as_good),
                *_reached(reached, drawn),
            ]
        )
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _reached(theirs: float, as_good: list[Point]) -> list[str]:
    """Return when the first was as good, and how much sooner that is."""
    if not as_good:
        return ["never", "0"]
    return [f"{as_good[0].seconds:.1f}", f"{theirs / as_good[0].seconds:.1f}"]


HEADER = (
    "seed", "ours with", "plain: all s", "its best", "at s", "ours: all s", "our best",
    "as good at s", "ratio", "drawn at s", "ratio",
)  # fmt: skip


def main() -> None:
    """Race for each seed, and print the table."""
    arguments = _arguments()
    print(machine())
    dataset = images().name
    rows = [row for seed in arguments.seeds for row in race(arguments, seed, dataset)]
    print(
        f"{arguments.trials} trials of {arguments.epochs} epochs on {arguments.images:,} images, width "
        f"{arguments.width}"
    )
    print(table(HEADER, rows))
    for schedule in SCHEDULES:
        mine = [row for row in rows if row[1] == schedule]
        ratio, drawn = (statistics.median(float(row[column]) for row in mine) for column in (8, 10))
        print(f"{schedule}: median ratio {ratio:.1f}, of drawn trials {drawn:.1f} (n = {len(mine)})")
    print(f"bar {BAR:g}, goal {GOAL:g}, for {SCHEDULES[0]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000, help="training images (default: 10000)")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--val-fraction", type=float, default=0.1)
    parser.add_argument("--loaders", type=int, default=2, help="loader processes of plain (default: 2)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser.parse_args()


if __name__ == "__main__":
    main()
