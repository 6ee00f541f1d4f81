"""Does bf16 cost accuracy? And how far does one small configuration get, and how fast?

    python benchmarks/accuracy.py [--parts precision best] [--seeds 5] [--best-epochs 10]

`precision` trains the same configuration in bf16 and in fp32, with several seeds of each. A seed fixes
weights, data order and augmentation, so that the runs of one seed differ in precision alone; the split is the
same for all. The bar: the mean validation accuracies are within one standard error.

`best` trains the configuration of the bundled study cifar10_best in this process, with all cores, for its
epochs or for --best-epochs, and then evaluates it on the test images once. Wall time is from the start of the
process (of the part, if there are several) to the test accuracy. The bar: 86 % within 15 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import psutil
import torch
from machine import images, machine, table
from torch import nn

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.config.parsing.load import load_study
from hpo.data.datasets import Dataset
from hpo.data.split import split
from hpo.errors import DeviceError
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.training.cores import divide_threads
from hpo.training.data import ImageSet, TrialData, make_trial_data
from hpo.training.device import prepare_process, resolve_device
from hpo.training.evaluate import evaluate
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.precision import Resolved, resolve_precision
from hpo.training.setup import TrialSetup

BEST_STUDY = "cifar10_best"
LEAST_ACCURACY = 0.86
MOST_SECONDS = 900
PRECISIONS: tuple[Resolved, ...] = ("fp32", "bf16")


def _data(configuration: Configuration, dataset: Dataset, device: torch.device) -> TrialData:
    rows = split(
        dataset.train_labels,
        dataset.classes,
        configuration.val_fraction,
        configuration.train_images,
        Key(0) / "split",
    )
    return make_trial_data(configuration, dataset, rows, device)


def _network(configuration: Configuration, data: TrialData, seed: int) -> nn.Module:
    sample, _ = data.train.first(256)
    key = Key(seed) / "accuracy" / "weights"
    return build_model(configuration, classes=data.classes, in_shape=STANDARD.shape, key=key, sample=sample)


def _train(
    configuration: Configuration,
    model: nn.Module,
    data: TrialData,
    seed: int,
    device: torch.device,
    precision: Resolved,
) -> list[EpochResult]:
    curve = []
    key = Key(seed) / "accuracy"
    for epoch in train(TrialSetup.of(configuration, model, data, key, device, precision)):
        curve.append(epoch)
        print(f"{precision} seed {seed} epoch {epoch.epoch}: {epoch.val_accuracy:.4f}", file=sys.stderr)
    return curve


def _row(name: str, accuracies: list[float], speeds: list[float]) -> list[str]:
    error = statistics.stdev(accuracies) / math.sqrt(len(accuracies))
    each = " ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)
    mean = f"{100 * statistics.mean(accuracies):.2f}"
    return [name, mean, f"{100 * error:.2f}", each, f"{statistics.median(speeds):,.0f}"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="default: all of them"
    )
    parser.add_argument(
        "--emulate-bf16",
        action="store_true",
        help="train in bf16 also on a CPU without units for it: slow, and good for accuracies alone",
    )
    parser.add_argument("--seeds", type=int, default=5, help="at least 2 (default: 5)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000, help="training images (default: 10000)")
    parser.add_argument("--best-epochs", type=int, help="default: those of the study")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    prepare_process(divide_threads(1))
    device = resolve_device(arguments.device)
    print(machine())
    dataset = images()
    for part in arguments.parts:
        PARTS[part](arguments, dataset, device)


def _compare_precisions(arguments: argparse.Namespace, dataset: Dataset, device: torch.device) -> None:
    try:
        resolve_precision("bf16", device)
    except DeviceError as error:
        if not arguments.emulate_bf16:
            print(f"bf16 against fp32: not measured ({error}; or --emulate-bf16)")
            return
    most = int(len(dataset.train_labels) * 0.9)
    configuration = Configuration(
        width=arguments.width, epochs=arguments.epochs, train_images=min(arguments.images, most)
    )
    data = _data(configuration, dataset, device)
    results: dict[Resolved, list[EpochResult]] = {precision: [] for precision in PRECISIONS}
    for seed in range(arguments.seeds):
        for precision in PRECISIONS:
            model = _network(configuration, data, seed)
            results[precision].append(_train(configuration, model, data, seed, device, precision)[-1])
    accuracies = {name: [result.val_accuracy for result in each] for name, each in results.items()}
    speeds = {name: [result.images_per_second for result in each] for name, each in results.items()}
    print(f"validation accuracy, %, after {arguments.epochs} epochs of {len(data.train):,} images")
    print(f"width {arguments.width}, {len(data.val):,} validation images, n = {arguments.seeds} seeds")
    header = ["precision", "mean", "standard error", "each", "images/s"]
    print(table(header, [_row(name, accuracies[name], speeds[name]) for name in PRECISIONS]))
    _compare(accuracies["fp32"], accuracies["bf16"])


def _compare(fp32: list[float], bf16: list[float]) -> None:
    """Print the difference of the means, the standard error of a mean, and that of the paired difference."""
    root = math.sqrt(len(fp32))
    difference = statistics.mean(bf16) - statistics.mean(fp32)
    error = max(statistics.stdev(fp32), statistics.stdev(bf16)) / root
    paired = statistics.stdev(b - a for a, b in zip(fp32, bf16, strict=True)) / root
    verdict = "ok" if abs(difference) <= error else "APART"
    print(
        f"bf16 - fp32: {100 * difference:+.2f} points; standard error of a mean {100 * error:.2f} {verdict}, "
        f"of the paired difference {100 * paired:.2f}"
    )


def _train_best(arguments: argparse.Namespace, dataset: Dataset, device: torch.device) -> None:
    """Train the study's configuration, and evaluate it on the test images once."""
    started = time.time() if len(arguments.parts) > 1 else psutil.Process().create_time()
    configuration = load_study(BEST_STUDY).configuration({})
    if arguments.best_epochs is not None:
        configuration = configuration.model_copy(update={"epochs": arguments.best_epochs})
    precision = resolve_precision(configuration.precision, device)
    data = _data(configuration, dataset, device)
    model = _network(configuration, data, seed=0)
    curve = _train(configuration, model, data, 0, device, precision)
    test = evaluate(model, _test_images(dataset, data, device), precision)
    wall = time.time() - started
    rate = statistics.median(epoch.images_per_second for epoch in curve)
    threads = torch.get_num_threads()
    print(f"{BEST_STUDY}: {len(data.train):,} training images, {threads} threads, {precision}")
    header = ["epochs", "val accuracy, %", "test accuracy, %", "wall time, s", "images/s"]
    percent = (f"{100 * curve[-1].val_accuracy:.2f}", f"{100 * test.accuracy:.2f}")
    print(table(header, [[str(configuration.epochs), *percent, f"{wall:.0f}", f"{rate:,.0f}"]]))
    reached = test.accuracy >= LEAST_ACCURACY and wall <= MOST_SECONDS
    if arguments.best_epochs is None:
        print(f"bar: {LEAST_ACCURACY:.0%} on test within {MOST_SECONDS} s {'ok' if reached else 'MISSED'}")


def _test_images(dataset: Dataset, data: TrialData, device: torch.device) -> ImageSet:
    pixels = torch.from_numpy(np.array(dataset.test_images)).to(device)
    labels = torch.from_numpy(np.array(dataset.test_labels)).to(device)
    return ImageSet(pixels, labels, torch.arange(len(labels), device=device), data.preprocessor)


PARTS: dict[str, Callable[[argparse.Namespace, Dataset, torch.device], None]] = {
    "precision": _compare_precisions,
    "best": _train_best,
}


if __name__ == "__main__":
    main()
