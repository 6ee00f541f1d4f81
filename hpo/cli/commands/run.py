"""``hpo run``: submit a study, or go on with it, and train it on this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from hpo.cli.options import Ray, Storage, Tags, storage_url

if TYPE_CHECKING:
    from hpo.config.study import StudySpec
    from hpo.events import RunSummary
    from hpo.workers.ray.resources import RayWorkers

    Train: TypeAlias = Callable[..., RunSummary]


def run(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="A study file, or a bundled one (`hpo studies --bundled`)."),
    ],
    storage: Storage = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            metavar="N",
            help="Processes that train at the same time. "
            "[default: one a core, at most 4 and one a trial; 1 on a GPU]",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many trials, instead of what the file says."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the file; may be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    tags: Tags = "",
    ray: Ray = None,
    cpus_per_worker: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="With --ray: what each worker holds. [default: 1]", show_default=False
        ),
    ] = None,
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="With --ray: the same of GPUs; 0.25 lets four workers share one. [default: 0]",
            show_default=False,
        ),
    ] = None,
    max_workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="With --ray: at most so many. [default: what the cluster has room for, one a trial]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events and the summary as JSON, one object a line.")
    ] = False,
) -> None:
    """Train a study's trials; say what won and why others failed.

    Running the same study again goes on with it: trials that are over stay, only the rest is trained.
    """
    from hpo.config.parsing.load import load_study
    from hpo.errors import UnknownStudyError

    url = storage_url(storage)
    try:
        spec = load_study(study, overrides(changes, trials))
    except UnknownStudyError as error:
        raise UnknownStudyError(f"{error}{_served_without_file(url, study)}") from None

    from hpo.cli.views.run import run_as_json, run_for_people
    from hpo.config.parsing.sections import read_tags

    cluster = _ray_workers(ray, cpus_per_worker, gpus_per_worker, max_workers, workers)
    say_how_it_searches(spec)
    has = read_tags(tags)
    train = _on_ray(cluster, device) if cluster else _here(workers, device, spec.trials)
    show_run = run_as_json if as_json else run_for_people
    summary = show_run(lambda on_event: train(spec, url, on_event=on_event, tags=has), url)
    raise typer.Exit(summary.exit_code)


def _here(workers: int | None, device: str, trials: int) -> Train:
    from hpo.workers.run import run_study

    count = workers or default_workers(device, trials)
    warn_of_too_many(count)
    return partial(run_study, workers=count, device=device)


def _on_ray(workers: RayWorkers, device: str) -> Train:
    from hpo.workers.ray.run import run_on_ray

    return partial(run_on_ray, workers=workers, device=device)


def _ray_workers(
    address: str | None, cpus: float | None, gpus: float | None, most: int | None, local: int | None
) -> RayWorkers | None:
    """None if it is not to be on Ray; raises ``UserError`` for options that do not go together."""
    from hpo.errors import UserError
    from hpo.workers.ray.resources import RayWorkers

    given = {"--cpus-per-worker": cpus, "--gpus-per-worker": gpus, "--max-workers": most}
    if address is None:
        for option, value in given.items():
            if value is not None:
                raise UserError(f"{option} is for workers on a Ray cluster: say --ray too")
        return None
    if local is not None:
        raise UserError("--workers is for processes of this machine: with --ray use --max-workers")
    return RayWorkers(address or None, 1.0 if cpus is None else cpus, gpus or 0.0, most)


def _served_without_file(url: str, name: str) -> str:
    """What to do where the database has the study; nothing else is known of it here."""
    from hpo.cli.commands.enqueue import in_database
    from hpo.errors import HpoError

    try:
        known = in_database(url, name)
    except HpoError:
        return ""
    if known is None:
        return ""
    command = f"hpo worker {name} --until-idle"
    return f"\n  the database has a study of that name: `{command}` goes on with it as it was submitted"


def overrides(changes: list[str] | None, trials: int | None) -> list[str]:
    """What the command changes of a study file."""
    return [*(changes or []), *([f"trials={trials}"] if trials else [])]


def say_how_it_searches(spec: StudySpec) -> None:
    """What of its sampler or pruner its owner may want to know first."""
    from hpo.cli.console import stderr
    from hpo.search.advice import notes, warnings

    for warning in warnings(spec):
        stderr().print(f"warning: {warning}", style="yellow", soft_wrap=True)
    for note in notes(spec):
        stderr().print(f"note: {note}", style="dim", soft_wrap=True)


def default_workers(device: str, trials: int | None, option: str = "--workers") -> int:
    """How many there are where none are asked for; it is said, with the reason."""
    from hpo.cli.console import stderr
    from hpo.training.cores import default_workers

    crew = default_workers(device, trials)
    stderr().print(f"workers: {crew.workers} ({crew.reason}; {option} N for another number)", style="dim")
    return crew.workers


def warn_of_too_many(workers: int) -> None:
    """More than there are cores."""
    from hpo.cli.console import stderr
    from hpo.training.cores import oversubscription

    warning = oversubscription(workers)
    if warning:
        stderr().print(f"warning: {warning}", style="yellow", soft_wrap=True)
