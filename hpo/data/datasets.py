"""Data sets by name: their sources, and their memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np

from hpo.config.datasets import OF_FILES, similar
from hpo.config.division import NO_RULES, DivisionRules
from hpo.config.image_format import ImageFormat, Resize, Shape
from hpo.data import synthetic
from hpo.data.arrays import arrays_source
from hpo.data.auto_format import Surveyed, survey
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Labels, Source, cached, source_signature
from hpo.data.cifar10 import cifar10_source, found_on_disk, why_not_downloadable
from hpo.data.division import DRAWN, Division
from hpo.data.fit import in_format
from hpo.data.folder import FOLDER_HELP, Listing, folder_listing, source_of_folder
from hpo.data.progress import progress_bar
from hpo.data.published import PUBLISHED, digits_source, published_source
from hpo.data.table import source_of_table, table_listing
from hpo.errors import DataError
from hpo.settings import Settings
from hpo.text import counted

_SYNTHETIC_SEED = 0
_SHOWN = 5  # classes named in one line


@dataclass(frozen=True)
class Dataset:
    """Images (N, C, H, W) uint8 in read-only memory maps, and labels (N,) int64.

    ``fingerprint`` is the SHA-256 of classes, labels and pixels; ``origin`` describes their source.
    ``warnings`` are what the user should know of them before training.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Bytes
    train_labels: Labels
    test_images: Bytes
    test_labels: Labels
    fingerprint: str
    origin: str
    warnings: tuple[str, ...] = ()
    resize: Resize = "squeeze"
    """How images of another shape were made to fit."""
    division: Division = DRAWN
    """Which of the training images validate."""

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width of an image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def format(self) -> ImageFormat:
        """What every image was made to."""
        channels, height, width = self.image_shape
        return ImageFormat(height, width, channels, self.resize)

    @property
    def fields(self) -> dict[str, str]:
        """The fields of a configuration that are bound to these images."""
        return {"dataset": self.name, **self.format.fields}

    @property
    def description(self) -> str:
        """The source, and the names of the classes: a wrong folder may have others than expected."""
        more = f" and {len(self.classes) - _SHOWN:,} more" if len(self.classes) > _SHOWN else ""
        names = ", ".join(self.classes[:_SHOWN]) + more
        return f"{self.origin}; {counted(len(self.classes), 'class')}: {names}"

    @property
    def class_counts(self) -> list[int]:
        """How many training images each class has, before any are held out (C,)."""
        counts: list[int] = np.bincount(self.train_labels, minlength=len(self.classes)).tolist()
        return counts


def resolve_auto(settings: Settings) -> tuple[Literal["cifar10", "synthetic"], str]:
    """Return the data set that ``dataset: auto`` selects on this machine, and the reason.

    It is CIFAR-10 if that is on disk or its server answers within ``settings.download_seconds``, otherwise
    synthetic.
    """
    place = found_on_disk(settings.data.absolute())
    if place is not None:
        return "cifar10", f"CIFAR-10 is at {place}"
    refusal = why_not_downloadable(settings.download_seconds)
    if refusal is None:
        return "cifar10", "the CIFAR-10 server answers; its 170 MB are downloaded once"
    return "synthetic", f"CIFAR-10 is not in {settings.data} and cannot be downloaded ({refusal})"


class RawImages(Protocol):
    """The images of a study before their format is chosen."""

    def survey(self) -> tuple[Surveyed, int]:
        """Return what the images are like, and how many are trained on."""
        ...

    def source(self, form: ImageFormat) -> Source:
        """Return the images in a format."""
        ...


@dataclass(frozen=True)
class Decodable:
    """Images that are decoded to one format, whatever is wanted, and then made to fit."""

    native: Source

    def survey(self) -> tuple[Surveyed, int]:
        """See ``RawImages``."""
        form = self.native.format
        return Surveyed(((form.width, form.height),), form.channels == 3, False), self.native.count

    def source(self, form: ImageFormat) -> Source:
        """See ``RawImages``."""
        return in_format(self.native, form)


@dataclass(frozen=True)
class Files:
    """Image files of any size, from a folder or a table."""

    root: Path
    list_images: Callable[[Path], Listing]
    make_source: Callable[[Path, Listing, ImageFormat], Source]

    def survey(self) -> tuple[Surveyed, int]:
        """See ``RawImages``."""
        trained = len(self.listing.train) - self.listing.division.given
        files = [Path(each.path) for each in self.listing.train[:trained]]
        return survey(files), len(files)

    @cached_property
    def listing(self) -> Listing:
        """The images that were found, once: the folder may be a large one on a network drive."""
        return self.list_images(self.root)

    def source(self, form: ImageFormat) -> Source:
        """See ``RawImages``."""
        return self.make_source(self.root, self.listing, form)


def find_images(
    name: str, root: Path | None, settings: Settings, rules: DivisionRules = NO_RULES
) -> RawImages:
    """Return the images of a data set; ``root`` is the ``data_root`` of the user's own files.

    Raises ``DataError`` if the data set is unknown, or its files are missing or damaged.
    """
    if name in OF_FILES and root is None:
        layout = f"\n{FOLDER_HELP}" if name == "folder" else ""
        raise DataError(f"dataset: {name} needs data_root, {OF_FILES[name]}{layout}")
    if name not in _FOUND:
        raise DataError(f"unknown dataset {name!r}; {similar(name)}")
    if name not in OF_FILES:
        refuse_rules(name, rules)
    return _FOUND[name](root or Path(), settings.data, rules)


def refuse_rules(name: str, rules: DivisionRules) -> None:
    """Raise ``DataError`` for rules about images that have no validation split, groups or times."""
    for key, value in (("groups", rules.groups), ("order", rules.order)):
        if value is not None:
            raise DataError(f"{key}: '{value}' is for images of your own; {name} has no groups and no times")
    if rules.validation == "given":
        raise DataError(f"validation: given, but {name} comes without a validation split")


_Find: TypeAlias = Callable[[Path, Path, DivisionRules], RawImages]
_FOUND: dict[str, _Find] = {
    "cifar10": lambda _, data, rules: Decodable(cifar10_source(data)),
    **{name: lambda _, data, rules, name=name: Decodable(published_source(name, data)) for name in PUBLISHED},  # type: ignore[misc]
    "digits": lambda _, data, rules: Decodable(digits_source()),
    "synthetic": lambda _, data, rules: Decodable(_synthetic_source()),
    "folder": lambda root, _, rules: Files(root, partial(folder_listing, rules=rules), source_of_folder),
    "table": lambda root, _, rules: Files(root, partial(table_listing, rules=rules), source_of_table),
    "arrays": lambda root, _, rules: Decodable(arrays_source(root, rules)),
}


def load_dataset(name: str, form: ImageFormat, *, root: Path | None = None, settings: Settings) -> Dataset:
    """Load the data set ``name`` in a format; decode it into the cache if necessary.

    ``root`` is the ``data_root`` of the user's own files. Raises ``DataError`` if the data are missing or
    damaged, or if the cache cannot be written.
    """
    return load_images(name, find_images(name, root, settings), form, settings)


def load_images(name: str, images: RawImages, form: ImageFormat, settings: Settings) -> Dataset:
    """Load images in a format, as the data set ``name``. Raises ``DataError`` as ``load_dataset`` does."""
    source = images.source(form)
    found = cached(source, settings.cache.absolute())
    return Dataset(
        name=name,
        classes=source.classes,
        fingerprint=source.division.signed(found.meta.fingerprint),
        origin=source.origin,
        warnings=(*source.warnings, *found.meta.warnings),
        resize=form.resize,
        division=source.division,
        **found.arrays,
    )


def _synthetic_source() -> Source:
    per_class = synthetic.TRAIN_PER_CLASS + synthetic.TEST_PER_CLASS
    return Source(
        name="synthetic",
        classes=synthetic.CLASSES,
        count=per_class * len(synthetic.CLASSES),
        origin=f"synthetic images, version {synthetic.VERSION}, seed {_SYNTHETIC_SEED}",
        signature=source_signature(["synthetic", synthetic.VERSION, _SYNTHETIC_SEED, per_class]),
        decode=_generate_synthetic,
    )


def _generate_synthetic() -> Decoded:
    with progress_bar("generating synthetic images", 1):
        train, train_labels, test, test_labels = synthetic.make_synthetic(_SYNTHETIC_SEED)
    return Decoded(DecodedSplit(train_labels, _whole(train)), DecodedSplit(test_labels, _whole(test)))


def _whole(images: Bytes) -> Iterator[Bytes]:
    yield images
