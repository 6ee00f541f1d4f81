"""Does the babysitter find what is wrong, name the cause, and leave sound trainings alone?

    python benchmarks/diagnosis.py record FOLDER [--half tuning] [--jobs 2] [--minutes 4]
    python benchmarks/diagnosis.py judge FOLDER [--half tuning]
    python benchmarks/diagnosis.py repair FOLDER [--half tuning] [--jobs 2] [--minutes 4]
    python benchmarks/diagnosis.py value FOLDER [--trials 100] [--images 5000] [--epochs 9] [--width 16]

`record` trains faulty and sound programs on a part of CIFAR-10 (on synthetic images where it is missing) in a
loop that is not hpo's own and never acts on a finding, and stores everything that the babysitter observed.
`judge` replays the checks on the recordings, as they would have acted, and prints the tables. `repair`
applies each remedy and trains again. `value` trains random configurations of studies/cifar10_random.yaml to
the end and reports what early stopping would have saved. Every command resumes where it was interrupted.

The tuning half is where checks, thresholds and the rules of the verdict were chosen; the checking half was
held out meanwhile (diagnosis_programs/halves.py).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from diagnosis_programs import tables
from diagnosis_programs.faults import FAULTS
from diagnosis_programs.halves import HALVES, halves
from diagnosis_programs.judging import judge_faults, judge_healthy
from diagnosis_programs.repair import treatments
from diagnosis_programs.runs import recordings
from diagnosis_programs.training_pool import Work, train_missing
from diagnosis_programs.value import Size, value_of, value_runs
from machine import machine


def _train(work: list[Work], arguments: argparse.Namespace) -> None:
    missing = train_missing(work, arguments.folder, jobs=arguments.jobs, minutes=arguments.minutes)
    print(f"{len(work) - missing} of {len(work)} runs are recorded in {arguments.folder}")


def _record(arguments: argparse.Namespace) -> None:
    _train([*recordings(arguments.half, arguments.precision)], arguments)


def _judge(arguments: argparse.Namespace) -> None:
    faults = judge_faults(arguments.folder, arguments.half)
    healthy = judge_healthy(arguments.folder, arguments.half)
    print(machine())
    print(f"{len(faults)} faults and {len(healthy)} sound programs are recorded")
    for part in (
        tables.summary(faults, healthy),
        tables.fault_rows(faults),
        tables.alarm_rows(healthy),
        tables.left_out(faults, healthy),
    ):
        print(f"\n{part}")


def _repair(arguments: argparse.Namespace) -> None:
    all_treatments = treatments(judge_faults(arguments.folder, arguments.half))
    runs = [each.run() for each in all_treatments]
    _train([replace(run, precision=arguments.precision) for run in runs if run is not None], arguments)
    print(tables.repair_table(all_treatments, halves(FAULTS), arguments.folder))


def _value(arguments: argparse.Namespace) -> None:
    size = Size(arguments.images, arguments.epochs, arguments.width)
    runs = value_runs(arguments.trials, size)
    _train(list(runs), arguments)
    recorded = [run for run in runs if run.path(arguments.folder).exists()]
    print(machine())
    print(tables.value_table(value_of(recorded, arguments.folder), size))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, of_halves, trains in (
        ("record", _record, True, True),
        ("judge", _judge, True, False),
        ("repair", _repair, True, True),
        ("value", _value, False, True),
    ):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("folder", type=Path, help="folder of the recordings")
        if of_halves:
            command.add_argument("--half", choices=HALVES, help="only this half (default: both)")
        if of_halves and trains:
            command.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
        if trains:
            command.add_argument("--jobs", type=int, default=2, help="processes of one thread (default: 2)")
            command.add_argument("--minutes", type=float, help="stop after this time (default: never)")
    value = commands.choices["value"]
    value.add_argument("--trials", type=int, default=100)
    value.add_argument("--images", type=int, default=5_000, help="training images (default: 5000)")
    value.add_argument("--epochs", type=int, default=9)
    value.add_argument("--width", type=int, default=16)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    arguments = _arguments()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
