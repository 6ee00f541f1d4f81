"""Arguments and options that several commands share, each declared once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from hpo.errors import UserError

COMMAND_EXAMPLE = "hpo run --trials 50 -- python train.py --lr~'log(1e-4, 1e-1)'"
_SEARCHED = re.compile(r"[^\s=~]+=?~\s*\w+\s*\(")

StudyFile: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A study file, a bundled study (`hpo studies --bundled`), or a function in a Python file, "
        "train.py:run.",
    ),
]
StudyName: TypeAlias = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")]
TrialNumber: TypeAlias = Annotated[
    int, typer.Argument(metavar="NUMBER", help="The trial's number, from 0.", min=0)
]
Storage: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Database: sqlite:///FILE or postgresql://USER@HOST/NAME. "
        "[default: $HPO_STORAGE, else sqlite:///hpo.db]",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Trials: TypeAlias = Annotated[
    int | None,
    typer.Option("--trials", min=1, metavar="N", help="Number of trials, in place of the study file's."),
]
Changes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the study file. Can be repeated; of one key, the last one counts.",
    ),
]
Device: TypeAlias = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Device: auto, cpu, cuda, cuda:1 or mps.")
]
OutputFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to this file. [default: stdout]"),
]
Tags: TypeAlias = Annotated[
    str,
    typer.Option(
        "--tags",
        metavar="TAG,...",
        help="Capabilities offered to studies with `needs:`. Workers on a GPU always offer `gpu`.",
        show_default=False,
    ),
]


Ray: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Train on a Ray cluster: HOST:PORT, ray://HOST:PORT, auto or local. "
        "[default: $RAY_ADDRESS, else a local Ray, started for this run]",
        show_default=False,
    ),
]


def overrides(changes: Sequence[str] | None, trials: int | None) -> list[str]:
    """Return the changes of --set and --trials to a study file."""
    return [*(changes or []), *([f"trials={trials}"] if trials else [])]


def with_ray_address(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--ray=ADDRESS`` in one piece.

    ``--ray`` needs no argument: the argument after it belongs to it only if it looks like an address.
    """
    from hpo.workers.ray.resources import is_address

    end = arguments.index("--") if "--" in arguments else len(arguments)
    joined, rest = [], list(arguments[:end])
    while rest:
        each = rest.pop(0)
        if each == "--ray":
            each = f"--ray={rest.pop(0) if rest and is_address(rest[0]) else ''}"
        joined.append(each)
    return [*joined, *arguments[end:]]


def refuse_searched_without_dashes(arguments: Sequence[str]) -> None:
    """Raise ``UserError`` for a command with searched arguments that has no ``--`` before it."""
    searched = next((each for each in arguments if _SEARCHED.match(each)), None)
    if arguments[:1] == ["run"] and "--" not in arguments and searched is not None:
        raise UserError(f"{searched}: write -- before the program: {COMMAND_EXAMPLE}")


def storage_url(option: str | None) -> str:
    """Return the URL of the database: the option, else the setting."""
    from hpo.settings import settings

    url = option or settings().storage
    _warn_of_stray_logs(url)
    return url


def _warn_of_stray_logs(text: str) -> None:
    """Warn if the newest results seem to lie in a log that did not come along with the database."""
    from hpo.cli.console import print_warning
    from hpo.errors import StorageUrlError
    from hpo.storage.presence import stray_logs
    from hpo.storage.url import parse_url

    try:
        url = parse_url(text)
    except StorageUrlError:
        return  # the command reports it
    path = Path(str(url.database))
    for log in stray_logs(path) if url.drivername == "sqlite" else []:
        print_warning(
            f"{log} belongs to no database there: if {path.name} was moved while it was in use, its newest "
            f"results are in that file: move it to {path.name}-wal. hpo db backup -o FILE copies both as one"
        )
