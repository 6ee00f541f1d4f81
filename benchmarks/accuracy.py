"""Does bf16 cost accuracy? The same configuration in bf16 and in fp32, with several seeds of each.

    python benchmarks/accuracy.py [--seeds 5] [--epochs 5] [--images 10000] [--width 16]

A seed fixes weights, data order and augmentation, so that the runs of one seed differ in precision alone; the
split is the same for all. The bar: the mean validation accuracies are within one standard error.
"""

from __future__ import annotations

import argparse
import math
import statistics

import torch
from machine import images, machine, table
from torch import Tensor

from hpo.data.split import split
from hpo.model_catalog import build_model
from hpo.randomness import Key
from hpo.spec.configuration import Configuration
from hpo.training.cores import divide_threads
from hpo.training.device import prepare_process, resolve_device
from hpo.training.loop import EpochResult, train
from hpo.training.precision import Resolved, resolve_precision
from hpo.training.state import TrialData, make_trial_data

PRECISIONS: tuple[Resolved, ...] = ("fp32", "bf16")


class _NoWatch:
    interval = 1000

    def on_steps(self, step: int, losses: Tensor) -> None:
        pass


def _last_epoch(
    configuration: Configuration, data: TrialData, seed: int, device: torch.device, precision: Resolved
) -> EpochResult:
    key = Key(seed) / "accuracy"
    sample, _ = data.train.first(256)
    model = build_model(configuration, classes=data.classes, key=key / "weights", sample=sample)
    return list(train(configuration, model, data, key, device, precision, watch=_NoWatch()))[-1]


def _row(name: str, accuracies: list[float], speeds: list[float]) -> list[str]:
    error = statistics.stdev(accuracies) / math.sqrt(len(accuracies))
    each = " ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)
    mean = f"{100 * statistics.mean(accuracies):.2f}"
    return [name, mean, f"{100 * error:.2f}", each, f"{statistics.median(speeds):,.0f}"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="at least 2 (default: 5)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000, help="training images (default: 10000)")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    prepare_process(divide_threads(1))
    device = resolve_device(arguments.device)
    for precision in PRECISIONS:
        resolve_precision(precision, device)
    print(machine())
    dataset = images()
    most = int(len(dataset.train_labels) * 0.9)
    configuration = Configuration(
        width=arguments.width, epochs=arguments.epochs, train_images=min(arguments.images, most)
    )
    rows = split(
        dataset.train_labels, configuration.val_fraction, configuration.train_images, Key(0) / "split"
    )
    data = make_trial_data(configuration, dataset, rows, device)
    results: dict[Resolved, list[EpochResult]] = {precision: [] for precision in PRECISIONS}
    for seed in range(arguments.seeds):
        for precision in PRECISIONS:
            results[precision].append(_last_epoch(configuration, data, seed, device, precision))
    accuracies = {name: [result.val_accuracy for result in each] for name, each in results.items()}
    speeds = {name: [result.images_per_second for result in each] for name, each in results.items()}
    print(f"validation accuracy, %, after {arguments.epochs} epochs of {len(data.train):,} images")
    print(f"width {arguments.width}, {len(data.val):,} validation images, n = {arguments.seeds} seeds")
    header = ["precision", "mean", "standard error", "each", "images/s"]
    print(table(header, [_row(name, accuracies[name], speeds[name]) for name in PRECISIONS]))
    _compare(accuracies["fp32"], accuracies["bf16"])


def _compare(fp32: list[float], bf16: list[float]) -> None:
    """The difference of the means beside the standard error of a mean, and that of the paired difference."""
    root = math.sqrt(len(fp32))
    difference = statistics.mean(bf16) - statistics.mean(fp32)
    error = max(statistics.stdev(fp32), statistics.stdev(bf16)) / root
    paired = statistics.stdev(b - a for a, b in zip(fp32, bf16, strict=True)) / root
    verdict = "ok" if abs(difference) <= error else "APART"
    print(
        f"bf16 - fp32: {100 * difference:+.2f} points; standard error of a mean {100 * error:.2f} {verdict}, "
        f"of the paired difference {100 * paired:.2f}"
    )


if __name__ == "__main__":
    main()
