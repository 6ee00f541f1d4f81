"""``hpo data``: what a study would see of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.options import Json
from hpo.text import counted

if TYPE_CHECKING:
    from hpo.data.duplicates import Pair, SeenImage
    from hpo.training.data_overview import LookedAt


def data(
    what: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES",
            help="A folder, a table (.csv, .jsonl, .parquet), an .npz file, the name of a data set, or "
            "package.module:function.",
        ),
    ],
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Also write a contact sheet: some images of each class."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a study would see of your images.

    Classes with counts, sizes and file formats, what cannot be used and why, duplicates, and the lines
    of a study file that fit. Every image is read. The exit code is 2 if some cannot be used.
    """
    from hpo.cli.console import print_json, print_line, stdout
    from hpo.cli.views.data import print_data
    from hpo.training.data_overview import look_at

    if sheet is not None:
        _refuse_sheet(sheet)
    found = look_at(what)
    if as_json:
        print_json(_object(found))
    else:
        print_data(stdout(), found)
    if sheet is not None:
        from hpo.reporting.figures.contact_sheet import write_contact_sheet

        left_out = write_contact_sheet(found.overview.samples, found.overview.counts["train"], sheet)
        more = f" ({counted(left_out, 'class')} more than fit)" if left_out else ""
        if not as_json:
            print_line(f"contact sheet: {sheet}{more}")
    raise typer.Exit(2 if found.overview.unusable else 0)


def _refuse_sheet(sheet: Path) -> None:
    """Raise ``UserError`` before images are read if the sheet cannot be written there."""
    from hpo.errors import UserError

    if sheet.suffix.lower() != ".png":
        raise UserError(f"--sheet {sheet}: the sheet is a PNG picture; use a name that ends in .png")
    if sheet.is_dir():
        raise UserError(f"--sheet {sheet} is a folder: name a file in it")
    if not sheet.absolute().parent.is_dir():
        raise UserError(f"--sheet {sheet}: there is no folder {sheet.absolute().parent}")


def _object(found: LookedAt) -> dict[str, Any]:
    from hpo.files import path_text

    overview = found.overview
    return {
        "dataset": found.dataset,
        "data_root": found.root,
        "origin": found.origin,
        "format": overview.format.fields,
        "reasons": list(found.reasons),
        "classes": [
            {"name": name, **{split: counts[name] for split, counts in overview.counts.items()}}
            for name in overview.classes
        ],
        "constant_accuracy": overview.constant_accuracy,
        "sizes": [
            {"width": width, "height": height, "images": count}
            for (width, height), count in overview.sizes.most_common()
        ],
        "modes": dict(overview.modes.most_common()),
        "unusable": [{"path": path_text(path), "reason": reason} for path, reason in overview.unusable],
        "warnings": [*found.warnings, *overview.remarks, *filter(None, [found.refusal])],
        "duplicates": [_pair(each) for each in overview.pairs],
        "study": found.study,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "exact": pair.exact,
        "leak": pair.leaks,
        "images": [_image(each) for each in (pair.first, pair.second)],
    }


def _image(image: SeenImage) -> dict[str, str]:
    from hpo.files import path_text

    return {"split": image.split, "class": image.label, "name": path_text(image.name)}
