"""``hpo run``: submit or resume a study, and train its trials here or on a Ray cluster."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from hpo.cli.options import (
    COMMAND_EXAMPLE,
    Changes,
    Device,
    Ray,
    Storage,
    StudyFile,
    Tags,
    Trials,
    overrides,
    storage_url,
)

if TYPE_CHECKING:
    from hpo.config.study import StudySpec
    from hpo.workers.ray.resources import RayWorkers


class RunCommand(TyperCommand):
    """`hpo run`, which tells a study from a program of one word by the ``--`` before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Click's type, which Typer vendors or not
        """Note whether there is a ``--``, which the parser drops."""
        ctx.meta[_SEPARATED] = "--" in args
        return super().parse_args(ctx, args)


_SEPARATED = "hpo.separated"


def run(
    ctx: typer.Context,
    study: StudyFile,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- PROGRAM ARGUMENT...",
            help="In place of STUDY: a command whose arguments are searched, as in --lr~'log(1e-4, 1e-1)'.",
            show_default=False,
        ),
    ] = None,
    storage: Storage = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            metavar="N",
            help="Number of processes that train in parallel. "
            "[default: one per core, at most 4 and one per trial; 1 on a GPU]",
            show_default=False,
        ),
    ] = None,
    trials: Trials = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="NAME",
            help="With a command or a function: the study's name. [default: that of the program, or of "
            "the file and the function]",
            show_default=False,
        ),
    ] = None,
    changes: Changes = None,
    device: Device = "auto",
    tags: Tags = "",
    ray: Ray = None,
    cpus_per_worker: Annotated[
        float | None,
        typer.Option(metavar="N", help="With --ray: CPUs of each worker. [default: 1]", show_default=False),
    ] = None,
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="With --ray: GPUs of each worker; with 0.25, four workers share one. [default: 0]",
            show_default=False,
        ),
    ] = None,
    max_workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="With --ray: maximum number of workers. [default: as many as fit, one per trial]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events and the summary as JSON, one object per line.")
    ] = False,
) -> None:
    """Train a study's trials; show the best and why others failed.

    Run the same study again to resume it: finished trials are kept, and only the rest is trained.

    A command is a study without a file (docs/study-files.md):
    `hpo run --trials 50 -- python train.py --lr~'log(1e-4, 1e-1)' --width~'choice(16, 32)'`

    The exit code is 0 if all trials are over, at least one is complete and none failed; 3 if all are over,
    but some failed or none is complete; 1 if trials are left, 2 for wrong input, 130, 143 or 129 after
    Ctrl-C, SIGTERM or SIGHUP, 141 when the reader of the output has left. Pruned trials did not fail.
    """
    url = storage_url(storage)
    words = [study, *(arguments or [])] if arguments or ctx.meta[_SEPARATED] else []
    spec = _study(study, words, name, trials, changes, url)

    from hpo.cli.output import saying_what_is_saved
    from hpo.cli.views.notices import print_advice
    from hpo.cli.views.run import JsonRunView, RunView
    from hpo.config.parsing.sections import read_tags
    from hpo.workers.ray.run import run_on_ray
    from hpo.workers.run import run_study

    cluster = _ray_workers(ray, cpus_per_worker, gpus_per_worker, max_workers, workers)
    print_advice(spec)
    offered = read_tags(tags)
    count = 0 if cluster else _local_workers(workers, device, spec)
    view = JsonRunView(url) if as_json else RunView(url)
    with saying_what_is_saved("run the command again to resume"), view:
        if cluster:
            summary = run_on_ray(spec, url, workers=cluster, device=device, tags=offered, on_event=view.show)
        else:
            summary = run_study(spec, url, workers=count, device=device, tags=offered, on_event=view.show)
    view.print_summary(summary)
    raise typer.Exit(summary.exit_code)


def _study(
    source: str, command: list[str], name: str | None, trials: int | None, changes: Changes, url: str
) -> StudySpec:
    """Return the study of a file, or of a command; ``command`` is empty if no program may be meant."""
    from hpo.errors import UnknownStudyError, UserError
    from hpo.training.scripts import is_script, load_any_study

    if command and not (len(command) == 1 and _is_study(source)):
        _refuse_second_study(source, command[1:])
        from hpo.config.parsing.command_line import command_study

        return command_study(command, name, trials, changes or [])
    if name is not None and not is_script(source):
        raise UserError("--study is for a command after --: a study file has the name as study:")
    named = [] if name is None else [f"study={name}"]
    try:
        return load_any_study(source, [*overrides(changes, trials), *named])
    except UnknownStudyError as error:
        hint = _hint_if_program(source) or _hint_if_in_database(url, source)
        raise UnknownStudyError(f"{error}{hint}") from None


def _refuse_second_study(source: str, arguments: list[str]) -> None:
    """Raise ``UserError`` if the first word is a study: it was not meant as a program."""
    from hpo.errors import UserError

    if _is_study(source):
        raise UserError(f"one study at a time: {source} is followed by {' '.join(arguments)}")


def _is_study(source: str) -> bool:
    from hpo.config.parsing.source import bundled_studies

    return source in bundled_studies() or source.endswith((".yaml", ".yml"))


def _local_workers(wanted: int | None, device: str, spec: StudySpec) -> int:
    from hpo.cli.views.notices import default_workers, warn_if_oversubscribed

    count = wanted or default_workers(device, spec.trials, built_in=not spec.is_own)
    warn_if_oversubscribed(count)
    return count


def _ray_workers(
    address: str | None, cpus: float | None, gpus: float | None, most: int | None, local: int | None
) -> RayWorkers | None:
    """Return None without --ray; raises ``UserError`` for options that exclude each other."""
    from hpo.errors import UserError
    from hpo.workers.ray.resources import RayWorkers

    given = {"--cpus-per-worker": cpus, "--gpus-per-worker": gpus, "--max-workers": most}
    if address is None:
        for option, value in given.items():
            if value is not None:
                raise UserError(f"{option} is for workers on a Ray cluster: add --ray")
        return None
    if local is not None:
        raise UserError("--workers is for processes of this machine: with --ray use --max-workers")
    return RayWorkers(address or None, 1.0 if cpus is None else cpus, gpus or 0.0, most)


def _hint_if_program(word: str) -> str:
    """Explain how to search the arguments of a program, if a study's name is one, or such an argument."""
    return f"\n  a command is searched by {COMMAND_EXAMPLE}" if "~" in word or shutil.which(word) else ""


def _hint_if_in_database(url: str, name: str) -> str:
    """Explain how to resume a study that is in the database, although its file was not found."""
    from hpo.cli.database import find_in_database
    from hpo.errors import HpoError

    try:
        known = find_in_database(url, name)
    except HpoError:
        return ""
    if known is None:
        return ""
    return (
        f"\n  the database has a study of that name: `hpo worker {name} --until-idle` resumes it as submitted"
    )
