"""``hpo export``: write a trained network as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, StudyName, storage_url
from hpo.errors import UserError
from hpo.text import counted

if TYPE_CHECKING:
    from hpo.trial.export import Export, Exported, Weights
    from hpo.trial.export_own import ExportedOwn


def export(
    study: StudyName,
    trial: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=0,
            help="The trial. [default: the one evaluated on test images, else one of the confirmed "
            "configuration, else the best]",
            show_default=False,
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
    """Export a trained network as a folder.

    `hpo predict` uses the folder without a database. It holds the weights of the trial's best epoch
    (safetensors), its preprocessing, its settings, the class names, a torch.export program that runs without
    hpo, and a model card. Before the folder appears, hpo measures what it wrote on the trial's own images.

    Of a training of your own it holds the parameters and, if it kept them, the states of the best epoch
    (trial.keep, as safetensors) and the files of trial.artifact.
    """
    from dataclasses import asdict

    from hpo.cli.console import print_json, print_line
    from hpo.config.study import own_training_message
    from hpo.trial.export import Export, check_output
    from hpo.trial.export_own import export_own, own_training

    own = own_training(storage_url(storage), study)
    if own is not None:
        if retrain:
            raise UserError(own_training_message(own, f"is trained again by `hpo repeat {study} NUMBER`"))
        kept = export_own(storage_url(storage), own, trial, output)
        if as_json:
            print_json({**asdict(kept), "folder": str(kept.folder)})
        else:
            _print_own(kept)
        return
    export = Export(storage_url(storage), study, trial)
    place = output or Path(f"{study}-trial-{export.trial.number}")
    check_output(place)
    weights = export.kept_weights()
    if weights is None:
        if not retrain:
            raise UserError(_not_kept(export))
        weights = _retrained(export)
    exported = export.write(weights, place)
    if export.why and not as_json:
        print_line(export.why)
    if as_json:
        print_json({**asdict(exported), "folder": str(exported.folder)})
    else:
        _print_text(exported)


def _print_own(kept: ExportedOwn) -> None:
    from hpo.cli.console import print_line

    if kept.why:
        print_line(kept.why)
    at = f" in epoch {kept.best_epoch}" if kept.best_epoch else ""
    print_line(f"trial {kept.trial} of {kept.study}, {kept.objective} {kept.value:.6g}{at}")
    states = f"states {', '.join(kept.states)}" if kept.states else "no states"
    print_line(f"{states}, {counted(len(kept.files), 'file')}, parameters  ->  {kept.folder}")
    if kept.note:
        print_line(f"note: {kept.note}")


def _not_kept(export: Export) -> str:
    from hpo.reporting import formatting

    took = f", which took {formatting.duration(export.trial.seconds)}" if export.trial.seconds else ""
    return (
        f"the weights of trial {export.trial.number} of {export.trial.study} were not kept: add --retrain to "
        f"train it again{took} and check that the result is the same"
    )


def _retrained(export: Export) -> Weights:
    from hpo.data.progress import progress_bar

    what = f"training trial {export.trial.number} of {export.trial.study} again"
    with progress_bar(what, len(export.trial.curve)) as advance:
        return export.retrain(lambda: advance(1))


def _print_text(exported: Exported) -> None:
    from hpo.cli.console import print_line
    from hpo.reporting import formatting

    measured = exported.measured
    how = "trained again to the same curve" if exported.retrained else "weights kept from the trial"
    program = (
        ""
        if exported.no_program
        else f", torch.export program {formatting.accuracy(exported.program_accuracy)}"
    )
    print_line(f"trial {exported.trial} of {exported.study}, {how}  ->  {exported.folder}")
    recorded = formatting.accuracy(exported.recorded_accuracy)
    same = {formatting.accuracy(each) for each in (measured.accuracy, exported.program_accuracy)} <= {
        recorded,
        formatting.accuracy(None),
    }
    why = "" if same else f" (on {exported.recorded_on}; exported files compute on the CPU in fp32)"
    print_line(
        f"{exported.measured_on}_accuracy {formatting.accuracy(measured.accuracy)} "
        f"on {counted(measured.images, 'image')} "
        f"from the exported files{program}; recorded {recorded}{why}"
    )
    if measured.over_views is not None:
        print_line(
            f"{exported.measured_on}_accuracy {formatting.accuracy(measured.over_views)} "
            f"over {exported.views} views of each image; hpo predict does not average"
        )
    if exported.no_program:
        print_line(f"no torch.export program: {exported.no_program}")
    print_line(f"next: hpo predict {exported.folder} IMAGE...   model card: {exported.folder / 'README.md'}")
