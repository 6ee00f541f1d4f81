"""Memory of workers: the unshared memory of each, and whether a worker grows from trial to trial.

    python benchmarks/memory.py [--workers 3] [--trials 100] [--preprocessing standardize zca]

The first table runs a study with several local workers on all training images, and gives the unshared memory
(USS) of each worker process: maximum and median. Principal components are cached before: the worker that
computes them, once for all, needs 200 MB more meanwhile. The second runs many short trials in one worker, and
gives its resident memory (RSS) after some of the first trials and after the last.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from machine import images, machine, table

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.config.study import StudySpec
from hpo.data.datasets import load_dataset
from hpo.data.split import split
from hpo.events import Event, TrialEnded
from hpo.rng import Key
from hpo.settings import settings
from hpo.training.data import make_trial_data
from hpo.workers.run import run_study

SEED = 0
MOST_UNSHARED_MB = 700
MOST_GROWTH = 0.05
SETTLED_AFTER = 5
"""Growth is measured from this trial on: before it, libraries load and the heap reaches its size."""
_MB = 2**20


def _study(name: str, trials: int, dataset: str, **fixed: Any) -> StudySpec:
    space = {"activation": {"choice": ["relu", "tanh", "elu", "sigmoid"]}, "lr": {"log": [1e-3, 1e-1]}}
    return StudySpec(study=name, seed=SEED, trials=trials, fixed={"dataset": dataset, **fixed}, space=space)  # type: ignore[arg-type]


def _run(spec: StudySpec, workers: int, on_event: Callable[[Event], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'hpo.db'}"
        summary = run_study(spec, url, workers=workers, device="auto", on_event=on_event)
    assert summary.finished == spec.trials, summary.problems


def _workers() -> list[psutil.Process]:
    """Return the local worker processes: multiprocessing's children without its resource tracker."""
    return [psutil.Process(child.pid) for child in multiprocessing.active_children() if child.pid]


class _UssSampler(threading.Thread):
    """Reads each worker's unshared memory, in MB, a few times a second until stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: dict[int, list[float]] = defaultdict(list)
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.3):
            for process in _workers():
                try:
                    self.samples[process.pid].append(process.memory_full_info().uss / _MB)
                except psutil.NoSuchProcess:
                    continue


def _fill_cache(dataset_name: str, train_images: int | None) -> None:
    """Compute the principal components that pca, whiten and zca share, as the first worker would."""
    dataset = load_dataset(dataset_name, STANDARD, settings=settings())
    configuration = Configuration(preprocessing="zca", train_images=train_images)
    rows = split(
        dataset.train_labels, dataset.classes, configuration.val_fraction, train_images, Key(SEED) / "split"
    )
    make_trial_data(configuration, dataset, rows, torch.device("cpu"))


def _unshared(arguments: argparse.Namespace, dataset: str) -> None:
    filler = multiprocessing.get_context("spawn").Process(
        target=_fill_cache, args=(dataset, arguments.train_images)
    )
    filler.start()
    filler.join()
    rows = []
    for kind in arguments.preprocessing:
        sampler = _UssSampler()
        sampler.start()
        spec = _study(
            f"memory-{kind}",
            arguments.workers,
            dataset,
            preprocessing=kind,
            epochs=1,
            train_images=arguments.train_images,
        )
        _run(spec, arguments.workers, lambda event: None)
        sampler.over.set()
        sampler.join()
        for number, samples in enumerate(sampler.samples.values(), 1):
            verdict = "ok" if max(samples) <= MOST_UNSHARED_MB else "HIGH"
            rows.append(
                [kind, str(number), f"{statistics.median(samples):,.0f}", f"{max(samples):,.0f} {verdict}"]
            )
    print(f"unshared memory (USS) of each of {arguments.workers} workers, MB; bar {MOST_UNSHARED_MB}")
    print(table(["preprocessing", "worker", "median", "most"], rows))


def _growth(arguments: argparse.Namespace, dataset: str) -> None:
    resident: list[float] = []

    def measure(event: Event) -> None:
        if isinstance(event, TrialEnded):
            resident.append(sum(process.memory_info().rss for process in _workers()) / _MB)

    spec = _study("memory-growth", arguments.trials, dataset, train_images=640, epochs=1)
    _run(spec, 1, measure)
    settled = min(SETTLED_AFTER, len(resident))
    shown = sorted({1, 2, settled, len(resident) // 2, len(resident)} - {0})
    growth = resident[-1] / resident[settled - 1] - 1
    print(f"resident memory (RSS) of one worker over {len(resident)} short trials, MB")
    print(table(["after trial", "RSS"], [[str(trial), f"{resident[trial - 1]:,.0f}"] for trial in shown]))
    verdict = "ok" if growth < MOST_GROWTH else "HIGH"
    print(f"growth after trial {settled}: {growth:+.1%} {verdict} (bar {MOST_GROWTH:.0%})")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100, help="short trials in one worker (default: 100)")
    parser.add_argument("--preprocessing", nargs="+", default=["standardize", "zca"])
    parser.add_argument("--train-images", type=int, default=None, help="default: all that are not held out")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    print(machine())
    dataset = images().name
    _unshared(arguments, dataset)
    _growth(arguments, dataset)


if __name__ == "__main__":
    main()
