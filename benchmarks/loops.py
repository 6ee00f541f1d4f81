"""Does the babysitter leave loops of all sorts alone, and does it find and name what is wrong in them?

    python benchmarks/loops.py run [--half seen] [--kind "language model"] [--jobs 2] [--misses] [--json FILE]
    python benchmarks/loops.py run NAME ...
    python benchmarks/loops.py rivals [--half seen] [--jobs 2]
    python benchmarks/loops.py list [--half seen]

`run` trains small programs after public examples and tutorials, sound and with one mistake each: without the
babysitter, watched by `hpo.Babysitter`, and once more with the remedy of its verdict where that names a
setting or a part of the program. It prints the table; `--misses` adds the programs that were misjudged.
`rivals` does the same with another tool, neuraldbg, as its documentation shows it; how to install it is said
where it is missing.

The seen half is where checks may be chosen; of the unseen half look at the table only. The folder of a
program is its half (loop_programs/seen and loop_programs/unseen).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from loop_programs import rivals, tables
from loop_programs.program import HALVES
from loop_programs.runs import outcomes, programs
from machine import machine, table


def _run(arguments: argparse.Namespace) -> None:
    chosen = programs(arguments.half, arguments.kind, tuple(arguments.names))
    if not chosen:
        raise SystemExit("no such programs; see `loops.py list`")
    print(machine())
    done = list(outcomes(chosen, arguments.jobs))
    print(f"{len(done)} programs, {sum(not each.mistake for each in done)} of them sound\n")
    print(tables.summary(done))
    if arguments.kinds:
        print(f"\n{tables.kinds(done)}")
    if arguments.misses:
        print(f"\n{tables.misses(done)}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in done], indent=1, default=str))


def _rivals(arguments: argparse.Namespace) -> None:
    chosen = programs(arguments.half, arguments.kind, tuple(arguments.names))
    if not chosen:
        raise SystemExit("no such programs; see `loops.py list`")
    print(machine())
    reports = list(rivals.reports(chosen, arguments.jobs))
    print(f"{len(reports)} programs, {sum(not each.mistake for each in reports)} of them sound\n")
    rows = [
        rivals.row(reports, "neuraldbg, explain_failure", "explained"),
        rivals.row(reports, "neuraldbg, any unhealthy event", "noticed"),
    ]
    print(table(rivals.HEADER, rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in reports], indent=1))


def _list(arguments: argparse.Namespace) -> None:
    for each in programs(arguments.half, arguments.kind, tuple(arguments.names)):
        causes = " / ".join(each.fault.causes) if each.fault else "sound"
        print(f"{each.name:<45} {each.half:<7} {each.kind:<28} {causes}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run in (("run", _run), ("rivals", _rivals), ("list", _list)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("names", nargs="*", help="programs, or families of programs (default: all)")
        command.add_argument("--half", choices=HALVES, help="only this half (default: both)")
        command.add_argument("--kind", help="only this kind")
    run = commands.choices["run"]
    run.add_argument("--kinds", action="store_true", help="a table by kind")
    run.add_argument("--misses", action="store_true", help="list misjudged programs with their verdicts")
    for each in (run, commands.choices["rivals"]):
        each.add_argument("--jobs", type=int, default=2, help="processes of one thread (default: 2)")
        each.add_argument("--json", type=Path, help="write every outcome to this file")
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    arguments = _arguments()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
