"""Is the synthetic data set quick to make, and hard enough for tuning to matter?

    python benchmarks/synthetic.py [--seeds 3] [--device auto]

The bars: 12,000 images in under 5 s on one core; a linear classifier below 45 % validation accuracy at its
best learning rate; a good small CNN above 85 %; a bad learning rate at chance, which is 10 %. Each row is the
mean over seeds of weights, data order and augmentation; the split is the same for all.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

import torch
from machine import machine, table

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.data.datasets import Dataset, load_dataset
from hpo.data.split import split
from hpo.data.synthetic import make_synthetic
from hpo.rng import Key
from hpo.settings import settings
from hpo.training.cores import divide_threads
from hpo.training.data import make_trial_data
from hpo.training.device import prepare_process, resolve_device
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.precision import resolve_precision
from hpo.training.setup import TrialSetup

# An mlp whose activation is the identity is a linear classifier.
LINEAR: dict[str, Any] = {
    "model": "mlp",
    "depth": 1,
    "activation": "linear",
    "batch_norm": "none",
    "augmentation": "none",
}
LINEAR_LRS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("convnet 16 wide, 5 epochs", {}, ""),
    ("convnet 16 wide, 5 epochs, no batch norm", {"batch_norm": "none"}, ""),
    ("convnet 32 wide, 10 epochs", {"width": 32, "epochs": 10}, "above 85"),
    ("convnet 16 wide, lr 1e-6", {"lr": 1e-6}, "near 10"),
    ("convnet 16 wide, lr 100", {"lr": 100.0}, "near 10"),
]


def accuracies(dataset: Dataset, values: dict[str, Any], seeds: int, device: torch.device) -> list[float]:
    """Best validation accuracy over the epochs, in percent, for each seed."""
    configuration = Configuration(dataset="synthetic", **values)
    rows = split(dataset.train_labels, dataset.classes, configuration.val_fraction, None, Key(0) / "split")
    data = make_trial_data(configuration, dataset, rows, device)
    precision = resolve_precision(configuration.precision, device)
    results = []
    for seed in range(seeds):
        key = Key(seed) / "synthetic benchmark"
        sample, _ = data.train.first(256)
        model = build_model(
            configuration, classes=data.classes, in_shape=STANDARD.shape, key=key / "weights", sample=sample
        ).to(device)
        epochs = train(TrialSetup.of(configuration, model, data, key, device, precision))
        results.append(100 * max(epoch.val_accuracy for epoch in epochs))
    return results


def row(name: str, found: list[float], bar: str) -> list[str]:
    cells = [name, f"{statistics.mean(found):.1f}", f"{min(found):.1f} to {max(found):.1f}", bar]
    print("  ".join(cells), file=sys.stderr, flush=True)  # shows progress: it takes minutes
    return cells


def making_seconds() -> float:
    started = time.process_time()
    make_synthetic(0)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    prepare_process(divide_threads(1))
    device = resolve_device(arguments.device)
    print(machine())
    print(f"12,000 images: {making_seconds():.1f} s of one core (bar: below 5)")
    dataset = load_dataset("synthetic", STANDARD, settings=settings())
    linear = {lr: accuracies(dataset, {**LINEAR, "lr": lr}, arguments.seeds, device) for lr in LINEAR_LRS}
    best = max(linear, key=lambda lr: statistics.mean(linear[lr]))
    rows = [row(f"linear classifier, best of {len(linear)} lr ({best:g})", linear[best], "below 45")]
    rows += [
        row(name, accuracies(dataset, values, arguments.seeds, device), bar) for name, values, bar in CASES
    ]
    header = [f"9,000 images, n = {arguments.seeds} seeds", "accuracy, %", "lowest to highest", "bar"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
