"""``hpo enqueue``: have a given configuration trained next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.options import Storage, storage_url

if TYPE_CHECKING:
    from hpo.config.study import StudySpec
    from hpo.storage.studies import RegisteredStudy


def enqueue(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="A study in the database, or a study file to submit."),
    ],
    pairs: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE", help="Hyperparameters and their values.")
    ],
    storage: Storage = None,
) -> None:
    """Train a given configuration next, before the other trials.

    It takes the place of the study's next draw. Searched hyperparameters that are not given are drawn.
    """
    from hpo.cli.console import print_line, print_warning
    from hpo.cli.database import find_in_database
    from hpo.config.parsing.assignments import read_assignments, surprises
    from hpo.queue import enqueue as queue
    from hpo.reporting import formatting
    from hpo.storage.store import ResultsStore
    from hpo.training.scripts import load_any_study
    from hpo.workers.submit import submit_study

    # Validate everything before anything is written.
    url = storage_url(storage)
    found = find_in_database(url, study)
    spec = found.spec if found else load_any_study(study)
    given = read_assignments(spec, pairs)
    if not found:
        queue.require_point(spec, given)
    if not spec.is_own:
        _refuse(spec, given, *_images(spec, found))
    with ResultsStore(url) as store:
        study_id = found.study_id if found else submit_study(store, spec).study_id
        done = queue.enqueue(store, study_id, given)
    for surprise in surprises(spec, given):
        print_warning(surprise)
    print_line(f"{spec.study}  slot {done.slot}: {formatting.hyperparameters(done.given)}  ({done.place})")


def _images(
    spec: StudySpec, found: RegisteredStudy | None
) -> tuple[int, Sequence[int], Sequence[int], tuple[int, int, int]]:
    """Return the number of classes, their training and validation images, and the shape of an image."""
    from hpo.stages.divided import divided_images
    from hpo.training.study_images import choose_images, load_chosen_images

    if found:
        return found.classes or 0, found.class_counts, found.val_class_counts, found.format.shape
    chosen = choose_images(spec)
    dataset = load_chosen_images(spec, chosen)
    divided = divided_images(spec, dataset)
    held_out = divided.class_counts if divided else ()
    return len(dataset.classes), dataset.class_counts, held_out, dataset.image_shape


def _refuse(
    spec: StudySpec,
    given: Mapping[str, Any],
    classes: int,
    class_counts: Sequence[int],
    val_class_counts: Sequence[int],
    in_shape: tuple[int, int, int],
) -> None:
    """Raise ``ConfigurationError`` if a trial with the given values could not be trained."""
    from hpo.stages.validate import refuse_given

    refuse_given(spec, given, class_counts, val_class_counts)
    if ":" in given.get("model", ""):
        import torch

        from hpo.training.rehearsal import check_network

        # Workers may have another device: the precision that every one has.
        configuration = spec.image_configuration({**given, "precision": "fp32"})
        check_network(configuration, classes, in_shape, torch.device("cpu"))
