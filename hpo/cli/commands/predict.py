"""``hpo predict``: classify images with an exported network."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from hpo.cli.options import Device, Json
from hpo.errors import DataError, UserError
from hpo.text import counted

if TYPE_CHECKING:
    from hpo.artifacts.model import Prediction, Unreadable
    from hpo.config.image_format import ImageFormat

Row: TypeAlias = tuple[Any, ...]


def predict(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `hpo export` wrote.")],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE", help="Image files, folders of images, or patterns."),
    ],
    top: Annotated[int, typer.Option(min=1, metavar="K", help="Number of most probable labels to show.")] = 3,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Batch size.")] = 500,
    program: Annotated[
        bool, typer.Option("--program", help="Run the torch.export program in place of hpo's network.")
    ] = False,
    device: Device = "auto",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of text.")] = False,
    as_json: Json = False,
) -> None:
    """Classify images with an exported network.

    It needs the folder alone, no database. Images of another size are made to fit as the training
    images were. Images that cannot be used are listed at the end, and the exit code is 2.
    """
    if as_csv and as_json:
        raise UserError("give --csv or --json, not both")
    from hpo.artifacts.model import load_exported
    from hpo.cli.console import data_output
    from hpo.cli.views.rows import WRITERS
    from hpo.data.walk import image_paths
    from hpo.training.device import resolve_device

    found = image_paths(images)
    model = load_exported(folder, program=program, device=str(resolve_device(device)))
    tally = _Tally(found.left_out, model.format)
    predictions = tally.counting(model.predict_files(found.paths, top, batch))
    shown = min(top, len(model.labels))
    if as_json:
        WRITERS["json"](data_output(), _OBJECT, map(_object, predictions))
    else:
        rows = (_flat(each, shown) for each in predictions)
        WRITERS["csv" if as_csv else "table"](data_output() if as_csv else sys.stdout, _header(shown), rows)
    sys.stdout.flush()  # before the notes on stderr
    tally.report(len(found.paths))


class _Tally:
    """Counts the images that were resized, could not be used, or deserve a remark."""

    def __init__(self, left_out: Counter[str], form: ImageFormat) -> None:
        from hpo.data.survey import Survey

        self._left_out = left_out
        self._form = form
        self._survey = Survey()
        self._resized = 0
        self._unreadable: list[Unreadable] = []

    def counting(self, predictions: Iterator[Prediction | Unreadable]) -> Iterator[Prediction]:
        """Yield the predictions and count the rest."""
        from hpo.artifacts.model import Unreadable

        for each in predictions:
            if isinstance(each, Unreadable):
                self._unreadable.append(each)
                continue
            self._resized += each.size != (self._form.width, self._form.height)
            self._survey.add(str(each.path), each.remarks)
            yield each

    def report(self, count: int) -> None:
        """Print notes and warnings; raises ``DataError`` if an image could not be used."""
        from hpo.cli.console import print_warning, stderr
        from hpo.data.walk import left_out_sentence
        from hpo.files import path_text
        from hpo.text import one_line

        for warning in (*left_out_sentence(self._left_out), *self._survey.sentences()):
            print_warning(warning)
        if self._resized:
            how = f"{self._form.height} x {self._form.width}, {_HOW[self._form.resize]}"
            note = f"resized {self._resized:,} of {counted(count, 'image')} to {how}"
            stderr().print(note, style="dim", soft_wrap=True)
        if self._unreadable:
            shown = [f"{path_text(each.path)}: {each.reason}" for each in self._unreadable[:_SHOWN]]
            listed = "".join(f"\n  {one_line(each)}" for each in shown)
            more = len(self._unreadable) - _SHOWN
            listed += f"\n  and {more:,} more" if more > 0 else ""
            raise DataError(f"{len(self._unreadable):,} of {counted(count, 'image')} cannot be used:{listed}")


_SHOWN = 10
_HOW = {
    "squeeze": "whatever their aspect ratio",
    "crop": "without what is outside of the middle",
    "pad": "with gray borders",
}
_OBJECT = ("image", "label", "probability", "top", "size")


def _object(prediction: Prediction) -> Row:
    from hpo.files import path_text

    top = [
        {"label": label, "probability": probability}
        for label, probability in zip(prediction.labels, prediction.probabilities, strict=True)
    ]
    first = prediction.labels[0], prediction.probabilities[0]
    return (path_text(prediction.path), *first, top, list(prediction.size))


def _header(shown: int) -> list[str]:
    others = [name for place in range(2, shown + 1) for name in (f"label_{place}", f"probability_{place}")]
    return ["image", "label", "probability", *others]


def _flat(prediction: Prediction, shown: int) -> Row:
    from hpo.files import path_text

    pairs = zip(prediction.labels[:shown], prediction.probabilities[:shown], strict=True)
    return (
        path_text(prediction.path),
        *(each for label, share in pairs for each in (label, round(share, 4))),
    )
