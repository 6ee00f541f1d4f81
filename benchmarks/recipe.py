"""How accurate is the recipe for its arithmetic, and what does each piece of it bring?

    python benchmarks/recipe.py --results FILE [--parts budgets ablation] [--seeds 3] [--print]

Trains benchmarks/recipe.yaml on all 50,000 images of CIFAR-10 and measures it on the 10,000 test images once:
as they are, and over six views of each. `budgets` has 0.04, 0.12 and 0.35 PFLOP (6 x multiplications x images
trained on); the bars are 85, 89 and 91 % plain, and 0.7 more over views. `ablation` has 0.12 PFLOP without
each piece, or with another.

Every result is a line of FILE. Stop the command at any time and call it again: it resumes after the last
epoch, from FILE with the ending .state, and leaves out what FILE has. `--print` trains nothing and prints the
tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import images, machine, table
from torch import nn

from hpo.config.configuration import Configuration
from hpo.config.parsing.load import load_study
from hpo.data.datasets import Dataset
from hpo.data.split import Split
from hpo.models.whitening import MOST_IMAGES, WhitenedPatches
from hpo.rng import Key
from hpo.training.cores import divide_threads
from hpo.training.data import TrialData, make_trial_data, preprocessed_test_images
from hpo.training.device import prepare_process, resolve_device
from hpo.training.evaluate import evaluate
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.precision import resolve_precision
from hpo.training.setup import TrialSetup, evenly_spread
from hpo.training.state import EpochState

STUDY = Path(__file__).with_name("recipe.yaml")
VIEWS = 6
BARS = {0.04: 0.85, 0.12: 0.89, 0.35: 0.91}
BUDGETS: dict[float, dict[str, Any]] = {
    0.04: {"width": 32, "epochs": 4},
    0.12: {"width": 32, "epochs": 12},
    0.35: {"width": 64, "epochs": 10},
}
ABLATION: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "stem: plain": {"stem": "plain"},
    "initializer: he": {"initializer": "he"},
    "norm_bias_lr_factor: 1": {"norm_bias_lr_factor": 1.0},
    "norm_scale: trained": {"norm_scale": "trained"},
    "output_scale: 1": {"output_scale": 1.0},
    "flip: random": {"flip": "random"},
    "translate: 0": {"translate": 0},
    "label_smoothing: 0": {"label_smoothing": 0.0},
    "regularize_all: false": {"regularize_all": False},
    "nesterov: false": {"nesterov": False},
    "schedule: cosine": {"schedule": "cosine"},
    "activation: relu": {"activation": "relu"},
    "weight_average: none": {"weight_average": "none"},
    "weight_average: swa": {"weight_average": "swa"},
    "optimizer: muon": {
        "optimizer": "muon",
        "lr": 0.02,
        "momentum": 0.95,
        "weight_decay": 0.01,
        "rest_lr": 0.003,
        "norm_bias_lr_factor": 1.0,
        "regularize_all": False,
    },
}
"""What is changed, one at a time; muon's rates are usual ones, not tuned."""


@dataclass(frozen=True)
class Run:
    """One training to be done."""

    part: str
    name: str
    seed: int
    changes: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.part}|{self.name}|{self.seed}"


@dataclass(frozen=True)
class Result:
    """What was measured of a run."""

    key: str
    settings: str
    """A hash of its configuration."""
    plain: float
    over_views: float
    petaflop: float
    seconds: float
    gigaflops: float
    precision: str
    threads: int


def planned(parts: Sequence[str], seeds: int) -> list[Run]:
    """Return all trainings, the cheap budgets first."""
    budgets = [
        Run("budgets", str(budget), seed, changes)
        for budget, changes in BUDGETS.items()
        for seed in range(seeds)
    ]
    pieces = [
        Run("ablation", name, seed, {**BUDGETS[0.12], **changes})
        for seed in range(seeds)
        for name, changes in ABLATION.items()
    ]
    return [run for run in (*budgets, *pieces) if run.part in parts]


def multiplications(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Return the multiplications of convolutions and dense layers for one image (C, H, W)."""
    counts: list[int] = []

    def count(layer: Any, inputs: object, output: torch.Tensor) -> None:
        counts.append(output[0].numel() * layer.weight[0].numel())

    layers = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.Linear | WhitenedPatches)]
    handles = [each.register_forward_hook(count) for each in layers]
    training = model.training
    with torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    model.train(training)
    for handle in handles:
        handle.remove()
    return sum(counts)


def trained(run: Run, configuration: Configuration, dataset: Dataset, state: Path) -> Result:
    """Train and measure, from the epoch that ``state`` has of this run, if any."""
    device = resolve_device("cpu")
    precision = resolve_precision(configuration.precision, device)
    data = _all_images(configuration, dataset, device)
    key = Key(run.seed) / "recipe"
    model = build_model(
        configuration,
        classes=data.classes,
        in_shape=data.image_shape,
        key=key / "weights",
        sample=data.train.first(256)[0],
        whitened_on=evenly_spread(data.train, MOST_IMAGES),
    )
    work = 6 * multiplications(model, data.image_shape)
    setup = TrialSetup.of(configuration, model, data, key, device, precision)
    start, seconds = _restored(setup, run, state)
    for epoch in train(setup, start=start):
        seconds += epoch.seconds
        print(
            f"{run.key}: epoch {epoch.epoch} of {configuration.epochs}, {epoch.train_accuracy:.4f}",
            flush=True,
        )
        _save(setup, run, epoch.epoch + 1, seconds, state)
    test = preprocessed_test_images(dataset, data.preprocessor, device)
    found = evaluate(setup.judged, test, precision, views=VIEWS)
    steps = setup.steps_per_epoch * configuration.epochs
    flop = work * steps * configuration.batch_size
    (over_views,) = found.own.values()
    return Result(
        key=run.key,
        settings=settings_hash(configuration),
        plain=found.accuracy,
        over_views=over_views,
        petaflop=flop / 1e15,
        seconds=seconds,
        gigaflops=flop / seconds / 1e9,
        precision=precision,
        threads=torch.get_num_threads(),
    )


def _all_images(configuration: Configuration, dataset: Dataset, device: torch.device) -> TrialData:
    """Train on all images. A thousand of them stand in for validation images, whose numbers are not used."""
    rows = np.arange(len(dataset.train_labels), dtype=np.int64)
    return make_trial_data(configuration, dataset, Split(train=rows, val=rows[:1000]), device)


def _restored(setup: TrialSetup, run: Run, state: Path) -> tuple[EpochState | None, float]:
    if not state.exists():
        return None, 0.0
    saved = torch.load(state, weights_only=True)
    if saved["run"] != [run.key, settings_hash(setup.configuration)]:
        return None, 0.0
    setup.model.load_state_dict(saved["model"])
    setup.optimizer.load_state_dict(saved["optimizer"])
    setup.average.load(saved["average"])
    return EpochState(saved["epoch"]), saved["seconds"]


def _save(setup: TrialSetup, run: Run, epoch: int, seconds: float, state: Path) -> None:
    new = state.with_suffix(".new")
    states = {name: getattr(setup, name).state_dict() for name in ("model", "optimizer")}
    torch.save(
        {
            "run": [run.key, settings_hash(setup.configuration)],
            "epoch": epoch,
            "seconds": seconds,
            "average": setup.average.state(),
            **states,
        },
        new,
    )
    new.replace(state)


def read(path: Path) -> dict[str, Result]:
    """Return the results so far by key; a line that was cut off is left out."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            result = Result(**json.loads(line))
        except ValueError:
            continue
        found[result.key] = result
    return found


def settings_hash(configuration: Configuration) -> str:
    """Return a hash of what is trained."""
    return hashlib.sha256(configuration.model_dump_json(exclude={"data_root"}).encode()).hexdigest()[:12]


def matrix_limit(seconds: float = 2.0) -> float:
    """Return the GFLOP/s of bf16 products of matrices of 2048 x 2048."""
    a = torch.randn(2048, 2048).bfloat16()
    a @ a
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        a @ a
        count += 1
    return 2 * 2048**3 * count / (time.perf_counter() - began) / 1e9


def report(results: Mapping[str, Result], seeds: int) -> str:
    """Return the tables of what was measured."""
    names = {"budgets": [str(each) for each in BUDGETS], "ablation": list(ABLATION)}
    lines = []
    for part, rows in names.items():
        body = []
        for name in rows:
            keys = (f"{part}|{name}|{seed}" for seed in range(seeds))
            done = [results[each] for each in keys if each in results]
            if done:
                body.append([name, *_row(done), _verdict(name, done) if part == "budgets" else ""])
        if body:
            header = [part, "n", "plain, %", "each", "6 views, %", "PFLOP", "minutes", "GFLOP/s", "bar"]
            lines += [table(header, body), ""]
    return "\n".join(lines)


def _row(done: Sequence[Result]) -> list[str]:
    mean = statistics.mean
    return [
        str(len(done)),
        f"{100 * mean(each.plain for each in done):.2f}",
        " ".join(f"{100 * each.plain:.2f}" for each in done),
        f"{100 * mean(each.over_views for each in done):.2f}",
        f"{done[0].petaflop:.3f}",
        f"{mean(each.seconds for each in done) / 60:.1f}",
        f"{statistics.median(each.gigaflops for each in done):,.0f}",
    ]


def _verdict(name: str, done: Sequence[Result]) -> str:
    plain = statistics.mean(each.plain for each in done)
    gain = statistics.mean(each.over_views - each.plain for each in done)
    return "ok" if plain >= BARS[float(name)] and gain >= 0.007 else "MISSED"


def main() -> None:
    """Train what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True, metavar="FILE")
    parts = ["budgets", "ablation"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="default: both")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--print", action="store_true", dest="only_print", help="train nothing")
    arguments = parser.parse_args()
    runs = planned(arguments.parts, arguments.seeds)
    done = read(arguments.results)
    base = load_study(str(STUDY)).image_configuration({})
    wanted = {run.key: Configuration(**{**base.model_dump(), **run.changes}) for run in runs}
    for key, configuration in wanted.items():
        if key in done and done[key].settings != settings_hash(configuration):
            sys.exit(f"{arguments.results} has a result of {key} with other settings: use another file")
    missing = [] if arguments.only_print else [run for run in runs if run.key not in done]
    if missing:
        prepare_process(divide_threads(1))
        print(machine())
        print(f"bf16 matrix products: {matrix_limit():,.0f} GFLOP/s on {torch.get_num_threads()} threads")
        dataset = images()
        for run in missing:
            result = trained(run, wanted[run.key], dataset, arguments.results.with_suffix(".state"))
            done[run.key] = result
            with arguments.results.open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")
            print(
                f"{run.key}: {100 * result.plain:.2f} plain, {100 * result.over_views:.2f} over views",
                flush=True,
            )
    print(f"{sum(run.key in done for run in runs)} of {len(runs)} trainings are done\n")
    print(report(done, arguments.seeds))


if __name__ == "__main__":
    main()
