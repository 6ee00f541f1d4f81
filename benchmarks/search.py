"""How many epochs a search needs: strategies replayed on recorded learning curves of real trainings.

    python benchmarks/search.py [replay] [--repeats 100] [--numbers 0-359]
    python benchmarks/search.py record --storage sqlite:///FILE --study NAME [--study NAME]

`learning_curves.csv.gz` holds configurations that random search drew from the space of the study
`cifar10_random`, each trained once on real CIFAR-10 images by `hpo run` (its header lists the reductions). A
replay takes them in the order of a strategy, with simulated workers for which every epoch takes the same
time, and ends trials by the same pure functions that `hpo run` uses. The target is the result that the best 5
% (or 1 %) of all configurations reach; the cost is the number of epochs trained, by all workers together,
until any trial reaches it.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from machine import machine, table
from search_replay.curves import FILE, Curves, Recorded, load, record
from search_replay.orders import at_random, on_a_grid, on_a_shuffled_grid
from search_replay.replay import Point, Replay
from search_replay.staged import Leg, Picked, Plan, coarse_to_fine, plain, plain_confirmed, recorded_spec

from hpo.config.methods import Asha, Hyperband, Median, Rules

WORKERS = (1, 4, 16, 64, 256)
BUDGETS = (25, 50, 100, 200, 400, 800)
ASHA_BAR = 0.25
"""Asha's epochs to the top 5 %, over those of random search that trains every trial in full, at 4 workers."""
STAGED_BAR = 0.75
"""Share of repeats in which coarse to fine finds a better configuration than random search, at 4 workers."""
STAGED = "48 short, 48 around"
_PROMOTE = Asha(promote=True)
_SHORT = Leg(48, short=True, pruner=_PROMOTE)
_AROUND = Leg(48, short=True, pruner=_PROMOTE, space="around", keep=0.15)
_LONGER = Leg(3, carry=3)
PLANS = {
    STAGED: Plan((_SHORT, _AROUND, _LONGER), top=2),
    "48 short, 48 refined": Plan((_SHORT, replace(_AROUND, space="refine"), _LONGER), top=2),
    "96 short": Plan((replace(_SHORT, trials=96), _LONGER), top=2),
    "24 short, 24 around": Plan((replace(_SHORT, trials=24), replace(_AROUND, trials=24), _LONGER), top=2),
    "48 asha, 48 asha": Plan((Leg(48, pruner=Asha()), Leg(48, pruner=Asha()))),
}
"""By what is searched, on few epochs or all; then the best 3 in full, and the best 2 or 3 twice again."""
RIVALS = {
    "random": lambda curves, plan, budget, seed: plain(curves, budget, seed),
    "random, in full": lambda curves, plan, budget, seed: plain(curves, budget, seed, checked=False),
    "random, confirmed": plain_confirmed,
}
"""What coarse to fine is compared with at an equal budget of epochs."""


@dataclass(frozen=True)
class Strategy:
    """An order of configurations and a rule that ends trials early."""

    order: Callable[[Curves, int], list[Recorded]]
    pruner: Rules | None = None
    checked: bool = True


FULL = "random, in full"
LIMIT = "limit: an oracle"
GRID, SHUFFLED, RANDOM, ASHA = "grid", "grid, shuffled", "random", "asha"
STRATEGIES = {
    FULL: Strategy(at_random, checked=False),
    RANDOM: Strategy(at_random),
    GRID: Strategy(on_a_grid),
    SHUFFLED: Strategy(on_a_shuffled_grid),
    "median": Strategy(at_random, Median()),
    ASHA: Strategy(at_random, Asha()),
    "asha, reduction 4": Strategy(at_random, Asha(reduction=4)),
    "asha, promote": Strategy(at_random, Asha(promote=True)),
    "hyperband": Strategy(at_random, Hyperband()),
    "hyperband, promote": Strategy(at_random, Hyperband(promote=True)),
}
"""All but the first with the checks, which end hopeless trials as they did when the table was recorded."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    replay = commands.add_parser("replay")
    recording = commands.add_parser("record")
    for each in (parser, replay):
        each.add_argument("--repeats", type=int, default=100)
        each.add_argument("--numbers", type=_numbers, help="only these configurations, e.g. 0-359")
    recording.add_argument("--storage", required=True)
    recording.add_argument("--study", action="append", required=True, help="may be repeated")
    recording.add_argument("--to", type=Path, default=FILE, help="the file, if not the one that is replayed")
    recording.add_argument(
        "--head", action="append", default=[], help="a line above the table; may be repeated"
    )
    arguments = parser.parse_args()
    if arguments.command == "record":
        curves = record(arguments.storage, arguments.study, arguments.head, arguments.to)
        repeated = sum(bool(each.again) for each in curves.trials)
        print(
            f"{len(curves.trials)} configurations of {curves.epochs} epochs, {repeated} of them also with "
            f"other seeds, in {arguments.to}"
        )
    else:
        curves = load()
        if arguments.numbers:
            curves = curves.part(*arguments.numbers)
        if not curves.trials:
            parser.error("argument --numbers: the table has no configurations with these numbers")
        report(curves, arguments.repeats)


def _numbers(text: str) -> tuple[int, int]:
    first, separator, last = text.partition("-")
    if not (separator and first.isdecimal() and last.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid range of numbers, e.g. 0-359")
    return int(first), int(last)


def report(curves: Curves, repeats: int) -> None:
    ended = sum(bool(each.cause) for each in curves.trials)
    best = max(each.best for each in curves.trials)
    print(
        f"{len(curves.trials)} configurations of {curves.epochs} epochs, {ended} of them ended by a check; "
        f"the best {best:.4f}, top 5 % from {curves.threshold(0.05):.4f}, top 1 % from "
        f"{curves.threshold(0.01):.4f}; n = {repeats} repeats\n{machine()}"
    )
    orders = {
        order: [order(curves, seed) for seed in range(repeats)]
        for order in {each.order for each in STRATEGIES.values()}
    }
    runs = {
        (name, workers): replays(orders[strategy.order], curves.epochs, strategy, workers)
        for name, strategy in STRATEGIES.items()
        for workers in WORKERS
    }
    for share in (0.05, 0.01):
        print(f"\nmedian epochs to the top {share:.0%}, by all workers\n{_to_target(curves, runs, share)}")
    print(f"\nmedian time to the top 5 %, in epochs of a worker\n{_time_to_target(curves, runs, 0.05)}")
    print(f"\nmean distance to the best after the given number of epochs, 4 workers\n{_regret(runs, best)}")
    duels = staged(curves, repeats)
    print(f"\ncoarse to fine, confirmed, against random search of equal epochs, 4 workers\n{_staged(duels)}")
    _bars(curves, runs, duels)


Runs = dict[tuple[str, int], list[list[Point]]]


def replays(
    orders: Sequence[Sequence[Recorded]], epochs: int, strategy: Strategy, workers: int
) -> list[list[Point]]:
    """Replay each order; strategies with the same kind of order get the same ones."""
    return [Replay(order, epochs, workers, strategy.pruner, strategy.checked).run() for order in orders]


def at_the_limit(curves: Curves, share: float, workers: int, repeats: int) -> list[list[Point]]:
    """Replay with an oracle as pruner: it ends after an epoch what will not reach the best ``share``."""
    target = curves.threshold(share)
    known = tuple(
        each if each.best >= target else replace(each, curve=each.curve[:1], cause="known")
        for each in curves.trials
    )
    orders = [at_random(replace(curves, trials=known), seed) for seed in range(repeats)]
    return replays(orders, curves.epochs, STRATEGIES[RANDOM], workers)


def until(run: Sequence[Point], target: float) -> Point | None:
    """Return the first point at which the target was reached; None if it never was."""
    return next((point for point in run if point.best >= target), None)


def median_epochs(curves: Curves, runs: list[list[Point]], share: float) -> float:
    """Return the median epochs to the best ``share``; a repeat that never reaches it counts as infinite."""
    target = curves.threshold(share)
    reached = [until(run, target) for run in runs]
    return statistics.median(point.epochs if point else math.inf for point in reached)


def _to_target(curves: Curves, runs: Runs, share: float) -> str:
    repeats = len(runs[FULL, 4])
    runs = runs | {(LIMIT, workers): at_the_limit(curves, share, workers, repeats) for workers in WORKERS}
    rows = []
    for name in (*STRATEGIES, LIMIT):
        epochs = [median_epochs(curves, runs[name, workers], share) for workers in WORKERS]
        missed = sum(until(run, curves.threshold(share)) is None for run in runs[name, 4])
        full = median_epochs(curves, runs[FULL, 4], share)
        ratio = f"{epochs[WORKERS.index(4)] / full:.2f}"
        rows.append([name, *(f"{each:g}" for each in epochs), ratio, f"{missed / len(runs[name, 4]):.0%}"])
    header = ["strategy", *(f"{workers} workers" for workers in WORKERS), "4: of in full", "4: never"]
    return table(header, rows)


def _time_to_target(curves: Curves, runs: Runs, share: float) -> str:
    target, rows = curves.threshold(share), []
    for name in STRATEGIES:
        times = []
        for workers in WORKERS:
            reached = [until(run, target) for run in runs[name, workers]]
            times.append(statistics.median(point.time if point else math.inf for point in reached))
        rows.append([name, *(f"{each:g}" for each in times)])
    return table(["strategy", *(f"{workers} workers" for workers in WORKERS)], rows)


def _regret(runs: Runs, best: float) -> str:
    rows = []
    for name in STRATEGIES:
        regrets = [
            statistics.mean(best - run[min(budget, len(run)) - 1].best for run in runs[name, 4])
            for budget in BUDGETS
        ]
        rows.append([name, *(f"{each:.4f}" for each in regrets)])
    return table(["strategy", *(f"{budget} epochs" for budget in BUDGETS)], rows)


@dataclass(frozen=True)
class Duels:
    """Coarse to fine against one baseline, repeat by repeat, with the same order of configurations."""

    ours: list[Picked]
    theirs: list[Picked]

    def share(self, sign: int) -> float:
        """Return the share of repeats that are better (1), the same (0) or worse (-1)."""
        differences = [a.value - b.value for a, b in zip(self.ours, self.theirs, strict=True)]
        return statistics.mean((each > 0) - (each < 0) == sign for each in differences)


def staged(curves: Curves, repeats: int) -> dict[tuple[str, str], Duels]:
    """Compare every plan with every baseline, which gets the epochs that the plan took in that repeat."""
    spec, duels = recorded_spec(), {}
    for what, plan in PLANS.items():
        if plan.legs[0].short and not curves.short_epochs:
            continue
        ours = [coarse_to_fine(spec, curves, plan, 4, seed) for seed in range(repeats)]
        for name, rival in RIVALS.items():
            theirs = [rival(curves, plan, each.epochs, seed) for seed, each in enumerate(ours)]
            duels[what, name] = Duels(ours, theirs)
    return duels


def _staged(duels: dict[tuple[str, str], Duels]) -> str:
    rows = []
    for (what, name), each in duels.items():
        means = [statistics.mean(one.value for one in side) for side in (each.ours, each.theirs)]
        rows.append(
            [
                what,
                name,
                f"{statistics.median(one.epochs for one in each.ours):g}",
                *(f"{mean:.4f}" for mean in means),
                *(f"{each.share(sign):.0%}" for sign in (1, 0, -1)),
            ]
        )
    header = ["stages", "against", "epochs", "judged", "the other", "better", "the same", "worse"]
    return table(header, rows)


def _bars(curves: Curves, runs: Runs, duels: dict[tuple[str, str], Duels]) -> None:
    full, drawn, grid, shuffled, asha = (
        median_epochs(curves, runs[name, 4], 0.05) for name in (FULL, RANDOM, GRID, SHUFFLED, ASHA)
    )
    better = duels[STAGED, RANDOM].share(1)
    print("\nto the top 5 %, 4 workers:")
    limit = median_epochs(curves, at_the_limit(curves, 0.05, 4, len(runs[FULL, 4])), 0.05)
    print(f"asha over random in full: {asha / full:.2f} (bar {ASHA_BAR}): {_met(asha / full <= ASHA_BAR)}")
    print(f"asha over an oracle, which ends all others after one epoch: {asha / limit:.2f}")
    print(
        f"grid needs more than random: {grid:g} against {drawn:g}: {_met(grid > drawn)}; "
        f"shuffled, which no sampler of hpo does: {shuffled:g}"
    )
    print(
        f"coarse to fine, confirmed, is better than random in {better:.0%} of the repeats "
        f"(bar {STAGED_BAR:.0%}): {_met(better >= STAGED_BAR)}"
    )


def _met(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


if __name__ == "__main__":
    main()
