"""What ``hpo data`` shows: what a study would see of a folder, a table, or a data set by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpo.config.datasets import is_dataset, similar
from hpo.config.fields import HYPERPARAMETERS
from hpo.config.image_format import AUTO, ImageFormat
from hpo.config.write import flow
from hpo.data.auto_format import auto_format
from hpo.data.datasets import Files, resolve_auto
from hpo.data.division import Division
from hpo.data.overview import IMBALANCED, Overview, overview_of_arrays, overview_of_files
from hpo.data.split import split
from hpo.data.walk import unpack
from hpo.errors import DataError
from hpo.files import path_text
from hpo.rng import Key
from hpo.settings import expanded, settings
from hpo.text import counted
from hpo.training.study_images import images_of

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_ARRAYS = ".npz"


@dataclass(frozen=True)
class LookedAt:
    """A data set as a study file names it, and what was found in it."""

    dataset: str
    root: str | None
    origin: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    overview: Overview

    @property
    def refusal(self) -> str:
        """Why a study with the default of ``val_fraction`` would not start; empty if it would."""
        counts = [self.overview.counts["train"][name] for name in self.overview.classes]
        labels = np.repeat(np.arange(len(counts)), counts)
        try:
            if len(labels) and not self.overview.counts["validation"]:
                split(labels, self.overview.classes, HYPERPARAMETERS["val_fraction"].default, None, Key(0))
        except DataError as error:
            return f"a study of them would not start: {error}"
        return ""

    @property
    def study(self) -> str:
        """The lines of a study file that fit."""
        root = f", data_root: {flow(self.root)}" if self.root else ""
        lines = [f"fixed: {{dataset: {flow(self.dataset)}{root}}}"]
        if self.overview.imbalance >= IMBALANCED:
            lines.insert(0, "objective: balanced_accuracy")
        return "\n".join(lines)


def look_at(what: str) -> LookedAt:
    """Read a folder, a table, an ``.npz`` file, a data set by name, or that of ``package.module:function``.

    Raises ``DataError``, and ``ConfigurationError`` for a function that cannot be used.
    """
    name, root = named_images(what)
    if name == "auto":
        name, _ = resolve_auto(settings())
    images = images_of(name, root)
    survey, count = images.survey()
    fields = {field: str(HYPERPARAMETERS[field].default) for field in ("image_size", "resize", "channels")}
    form, reasons = auto_format({**fields, "image_size": AUTO, "channels": AUTO}, survey, count)
    if isinstance(images, Files):
        listing = images.listing
        given = listing.division.given
        of_val = f"{given:,} for validation, " if given else ""
        where = path_text(listing.root)
        origin = (
            f"images in {where}: {counted(len(listing.train) - listing.division.given, 'training image')}, "
            f"{of_val}{len(listing.test):,} for test"
        )
        origin += ", held out here" if listing.held_out else ""
        warnings = (*listing.warnings, *_groups(listing.division))
        return LookedAt(name, root, origin, reasons, warnings, overview_of_files(listing.root, listing, form))
    source = images.source(form)
    width, height = survey.sizes[0]
    native = ImageFormat(height, width, form.channels)
    overview = overview_of_arrays(source.classes, source.decode, native, form, source.division.given)
    return LookedAt(name, root, source.origin, reasons, source.warnings, overview)


def _groups(division: Division) -> Iterator[str]:
    """Yield what may be groups; mostly nothing."""
    if division.known is not None:
        groups = counted(len(division.known.train.names), "group")
        yield (
            f"{groups} by {division.known.rule}: if the images of each are alike, such as those of one "
            f"patient, keep them together with groups: {division.known.rule}"
        )


def named_images(what: str) -> tuple[str, str | None]:
    """Return the data set and its ``data_root`` for what a person typed. Raises ``DataError``."""
    if "://" in what:
        raise DataError(f"{what} is an address: download the images, and name their folder or file")
    if not what.strip():
        raise DataError("no images are named: give a folder, a table or the name of a data set")
    path = expanded(Path(what)).absolute()
    with suppress(OSError):  # a name that is too long
        if path.is_dir():
            return "folder", str(path)
    if path.suffix.lower() in _TABLES:
        return "table", str(path)
    if path.suffix.lower() == _ARRAYS:
        return "arrays", str(path)
    if is_dataset(what):
        return what, None
    with suppress(OSError):
        if path.exists():
            if unpacked := unpack(path):
                raise DataError(f"{path} is an archive: {unpacked}")
            known = ", ".join((*_TABLES, _ARRAYS))
            raise DataError(f"{path} is not a folder of images, and none of {known}")
    raise DataError(f"there is no folder, table or data set {what!r}; {similar(what)}")
