"""``hpo run``: submit a study, or go on with it, and train it on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Storage, Tags, storage_url

if TYPE_CHECKING:
    from hpo.spec.study import StudySpec


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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events and the summary as JSON, one object a line.")
    ] = False,
) -> None:
    """Train a study's trials; say what won and why others failed.

    Running the same study again goes on with it: trials that are over stay, only the rest is trained.
    """
    from hpo.spec.load import load_study

    spec = load_study(study, overrides(changes, trials))

    from hpo.cli.running import run_as_json, run_for_people
    from hpo.spec.needs import read_tags
    from hpo.workers.local import run_study

    url = storage_url(storage)
    say_how_it_searches(spec)
    count = workers or default_workers(device, spec.trials)
    warn_of_too_many(count)
    has = read_tags(tags)
    show_run = run_as_json if as_json else run_for_people
    summary = show_run(
        lambda on_event: run_study(spec, url, workers=count, device=device, tags=has, on_event=on_event), url
    )
    raise typer.Exit(summary.exit_code)


def overrides(changes: list[str] | None, trials: int | None) -> list[str]:
    """What the command changes of a study file."""
    return [*(changes or []), *([f"trials={trials}"] if trials else [])]


def say_how_it_searches(spec: StudySpec) -> None:
    """What of its sampler or pruner its owner may want to know first."""
    from hpo.cli.console import stderr
    from hpo.search.notices import notes, warnings

    for warning in warnings(spec):
        stderr().print(f"warning: {warning}", style="yellow", soft_wrap=True)
    for note in notes(spec):
        stderr().print(f"note: {note}", style="dim", soft_wrap=True)


def default_workers(device: str, trials: int | None, option: str = "--workers") -> int:
    """How many there are where none are asked for; it is said, with the reason."""
    from hpo.cli.console import stderr
    from hpo.training.cores import default_crew

    crew = default_crew(device, trials)
    stderr().print(f"workers: {crew.workers} ({crew.why}; {option} N for another number)", style="dim")
    return crew.workers


def warn_of_too_many(workers: int) -> None:
    """More than there are cores."""
    from hpo.cli.console import stderr
    from hpo.training.cores import oversubscription

    warning = oversubscription(workers)
    if warning:
        stderr().print(f"warning: {warning}", style="yellow", soft_wrap=True)
