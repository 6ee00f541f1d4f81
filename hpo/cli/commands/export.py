"""``hpo export``: a trained network as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url
from hpo.errors import UserError

if TYPE_CHECKING:
    from hpo.trial.export import Export, Exported, Weights


def export(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    trial: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER", min=0, help="A trial. [default: the one measured on test images, else the best]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="A new folder. [default: STUDY-trial-NUMBER]"),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train the trial again if its weights were not kept.")
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write a trained network as a folder that `hpo predict` uses, without a database.

    It holds the weights of the trial's best epoch (safetensors), its preprocessing, its settings, the names
    of the classes, a torch.export program that needs no hpo, and a model card. What is written is measured
    before the folder appears, on the images on which the trial was.
    """
    from hpo.trial.export import Export, check_place

    export = Export(storage_url(storage), study, trial)
    place = output or Path(f"{study}-trial-{export.trial.number}")
    check_place(place)
    weights = export.kept_weights()
    if weights is None:
        if not retrain:
            raise UserError(_not_kept(export))
        weights = _retrained(export)
    exported = export.write(weights, place)
    if as_json:
        _print_json(exported)
    else:
        _print_text(exported)


def _not_kept(export: Export) -> str:
    from hpo.reporting import formatting

    took = f", which took {formatting.duration(export.trial.seconds)}" if export.trial.seconds else ""
    return (
        f"the weights of trial {export.trial.number} of {export.trial.study} were not kept: add --retrain to "
        f"train it again{took}, and to check that it comes out the same"
    )


def _retrained(export: Export) -> Weights:
    from hpo.data.progress import progress_bar

    what = f"training trial {export.trial.number} of {export.trial.study} again"
    with progress_bar(what, len(export.trial.curve)) as advance:
        return export.retrain(lambda: advance(1))


def _print_json(exported: Exported) -> None:
    from dataclasses import asdict

    from hpo.cli.views.lines import to_json

    typer.echo(to_json({**asdict(exported), "folder": str(exported.folder)}))


def _print_text(exported: Exported) -> None:
    from hpo.reporting import formatting

    measured = exported.measured
    how = "trained again to the same curve" if exported.retrained else "its kept weights"
    program = "" if exported.no_program else f", its program {formatting.accuracy(exported.program_accuracy)}"
    _say(f"trial {exported.trial} of {exported.study}, {how}  ->  {exported.folder}")
    _say(
        f"{exported.measured_on}_accuracy {formatting.accuracy(measured.accuracy)} "
        f"on {measured.images:,} images "
        f"from this folder's files{program}; recorded {formatting.accuracy(exported.recorded_accuracy)}"
    )
    if exported.no_program:
        _say(f"without a program: {exported.no_program}")
    _say(f"next: hpo predict {exported.folder} IMAGE...   its card: {exported.folder / 'README.md'}")


def _say(line: str) -> None:
    from hpo.cli.console import printable, stdout

    stdout().print(printable(line), soft_wrap=True)
