"""Data sets by name: their sources, and their memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hpo.config.configuration import Configuration
from hpo.config.image_format import AUTO, ImageFormat, Resize, Shape
from hpo.config.study import StudySpec
from hpo.data import synthetic
from hpo.data.auto_format import auto_format, survey
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Labels, Source, cached, source_signature
from hpo.data.cifar10 import cifar10_source, found_on_disk, why_not_downloadable
from hpo.data.fit import in_format
from hpo.data.folder import FOLDER_HELP, folder_images, folder_source
from hpo.data.progress import progress_bar
from hpo.errors import DataError
from hpo.settings import Settings, settings
from hpo.text import counted

NAMES = ("cifar10", "folder", "synthetic")
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


def load_dataset(name: str, form: ImageFormat, *, root: Path | None = None, settings: Settings) -> Dataset:
    """Load the data set ``name`` in a format; decode it into the cache if necessary.

    ``root`` is the image folder of ``folder``. Raises ``DataError`` if the data are missing or damaged, or if
    the cache cannot be written.
    """
    source = _source(name, form, root, settings)
    found = cached(source, settings.cache.absolute())
    return Dataset(
        name=name,
        classes=source.classes,
        fingerprint=found.meta.fingerprint,
        origin=source.origin,
        warnings=(*source.warnings, *found.meta.warnings),
        resize=form.resize,
        **found.arrays,
    )


def _source(name: str, form: ImageFormat, root: Path | None, settings: Settings) -> Source:
    if name == "cifar10":
        return in_format(cifar10_source(settings.data), form)
    if name == "synthetic":
        return in_format(_synthetic_source(), form)
    if name != "folder":
        raise DataError(f"unknown dataset {name!r}; known: auto, {', '.join(NAMES)}")
    if root is None:
        raise DataError(f"dataset: folder needs data_root\n{FOLDER_HELP}")
    return folder_source(root, form)


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


@dataclass(frozen=True)
class ChosenImages:
    """What a new study is bound to: a data set, the format of its images, and why where it was ``auto``."""

    dataset: str
    format: ImageFormat
    reasons: tuple[str, ...] = ()


def choose_images(spec: StudySpec) -> ChosenImages:
    """Return the data set and the format that a new study is bound to. Raises ``DataError``."""
    name: str = _setting(spec, "dataset")
    reasons = []
    if name == "auto":
        name, because = resolve_auto(settings())
        reasons.append(because)
    fields = {field: _setting(spec, field) for field in ("image_size", "resize", "channels")}
    root = _setting(spec, "data_root")
    if name != "folder" or root is None or AUTO not in (fields["image_size"], fields["channels"]):
        return ChosenImages(name, ImageFormat.of_fields(fields), tuple(reasons))
    files = folder_images(Path(root))
    form, why = auto_format(fields, survey(files), len(files))
    return ChosenImages(name, form, (*reasons, *why))


def load_study_images(spec: StudySpec, name: str, form: ImageFormat) -> Dataset:
    """Load the data set ``name`` in the study's format, from the study's folder if it has one."""
    root = _setting(spec, "data_root")
    return load_dataset(name, form, root=Path(root) if root else None, settings=settings())


def _setting(spec: StudySpec, field: str) -> Any:
    """Return the study's value of a field that cannot be searched."""
    return spec.fixed.get(field, Configuration.model_fields[field].default)
