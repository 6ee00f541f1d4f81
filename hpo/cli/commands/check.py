"""``hpo check``: check one configuration, before training and in a short dry run."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.options import Changes, Device, Json

if TYPE_CHECKING:
    from hpo.config.configuration import Configuration
    from hpo.config.study import StudySpec
    from hpo.trial.dry_run import DryRun

_MIN_STEPS = 60
"""Steps of an epoch below which the checks would report the short length of the dry run itself."""


def check(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|MODULE:BUILD",
            help="A study file, a bundled study, or your own network as package.module:function.",
        ),
    ],
    trial: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Check the configuration of trial N. [default: the fixed values, else defaults]",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Epochs of the dry run.")] = 2,
    images: Annotated[
        int, typer.Option(min=64, metavar="N", help="Training images per epoch, at most.")
    ] = 6400,
    changes: Changes = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Check one configuration before you search.

    It first does with each network of your own, in small, what a trial does: a step of training, evaluation,
    its state written and read back, export. Then it runs the checks before training and a short dry run, and
    prints each check with its value, threshold and remedy. It exits with 1 if a finding is fatal.
    Of a study of your own training it imports the function in a process of its own, and trains nothing.
    `hpo doctor` checks this machine, `hpo db check` the data in the database.
    """
    spec = _spec(study, changes or [])
    if spec.is_own:
        from hpo.cli.views.own_training import check_own_training

        check_own_training(spec, _drawn(spec, trial), as_json=as_json)
        return

    from hpo.cli.views.check import as_json as report_json
    from hpo.cli.views.check import print_report

    configuration, result = _run(spec, trial, epochs, images, device, quiet=as_json)
    if as_json:
        typer.echo(report_json(configuration, result))
    else:
        print_report(configuration, result)
    raise typer.Exit(int(result.fatal is not None))


def _spec(source: str, changes: list[str]) -> StudySpec:
    """Return the study, or one with only the network that ``source`` names; checks are always on."""
    from pathlib import Path

    from hpo.config.parsing.load import parse_study
    from hpo.training.scripts import is_script, load_any_study

    if ":" in source and not is_script(source) and not Path(source).exists():
        text = f"study: check\ntrials: 1\nfixed:\n  model: '{source}'\nspace: {{}}\n"
        spec = parse_study(text, source, changes)
    else:
        spec = load_any_study(source, changes)
    if spec.checks.watch:
        return spec
    return spec.model_copy(update={"checks": spec.checks.model_copy(update={"preset": "standard"})})


def _drawn(spec: StudySpec, trial: int | None) -> dict[str, Any]:
    """Return the searched values of a trial; none without a trial."""
    from hpo.errors import UserError
    from hpo.search.samplers.registry import sample_slot

    if trial is None:
        return {}
    if trial >= spec.trials:
        raise UserError(f"study {spec.study} plans trials 0 to {spec.trials - 1}; there is no trial {trial}")
    return sample_slot(spec, trial)


def _run(
    spec: StudySpec, trial: int | None, epochs: int, images: int, device_name: str, *, quiet: bool
) -> tuple[Configuration, DryRun]:
    from dataclasses import replace

    from hpo.cli.console import print_warning
    from hpo.cli.views.check import following
    from hpo.data.split import fewest_training_images, split, split_key
    from hpo.rng import Key
    from hpo.stages.divided import division_warnings
    from hpo.stages.validate import refuse_impossible, refuse_preprocessing
    from hpo.training.cores import divide_threads
    from hpo.training.device import prepare_process, resolve_device
    from hpo.training.rehearsal import models_of
    from hpo.training.setup import prepare
    from hpo.training.study_images import choose_images, load_chosen_images
    from hpo.trial.dry_run import dry_run, limit_notes, rehearse_models

    device = resolve_device(device_name)
    prepare_process(divide_threads(1))
    chosen = choose_images(spec)
    dataset = load_chosen_images(spec, chosen)
    for warning in (*dataset.warnings, *division_warnings(spec, dataset)):
        print_warning(warning)
    refuse_impossible(spec, dataset)
    refuse_preprocessing(spec, dataset.image_shape)
    # A default that is not among the study's networks is never trained.
    networks = models_of(spec)
    drawn = _drawn(spec, trial)
    if trial is None and spec.image_configuration({}).model not in networks:
        drawn = {"model": networks[0]}
    configuration = spec.image_configuration(drawn, dataset.fields)
    key, halves = Key(spec.seed) / "trial" / (trial or 0), split_key(Key(spec.seed))
    images_of = dataset.train_labels, dataset.classes, configuration.val_fraction
    held_out = len(split(*images_of, None, halves, division=dataset.division).val)
    every_class = fewest_training_images(*images_of, halves, dataset.division)
    wanted_images = max(images, _MIN_STEPS * configuration.batch_size, every_class)
    most = min(wanted_images, configuration.train_images or len(dataset.train_labels) - held_out)
    short = configuration.model_copy(
        update={"train_images": most, "epochs": min(epochs, configuration.epochs)}
    )
    # What a user's network prints is not the command's result.
    with redirect_stdout(sys.stderr), following(short, quiet=quiet) as on_epoch:
        notes = rehearse_models(spec, len(dataset.classes), dataset.image_shape, device)
        setup = prepare(short, dataset, key, halves, device)
        notes += limit_notes(spec, setup)
        result = dry_run(setup, spec.checks, on_epoch)
        return short, replace(result, findings=(*result.findings, *notes))
