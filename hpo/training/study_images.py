"""The images of a study: which data set and format it is bound to, and loading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.config.configuration import Configuration
from hpo.config.division import NO_RULES, DivisionRules, Validation
from hpo.config.image_format import AUTO, ImageFormat
from hpo.config.study import StudySpec
from hpo.data.auto_format import auto_format
from hpo.data.datasets import Dataset, Files, RawImages, find_images, load_images, resolve_auto
from hpo.data.duplicates import Split
from hpo.settings import settings
from hpo.storage.studies import RegisteredStudy
from hpo.training.users_images import users_images


@dataclass(frozen=True)
class ChosenImages:
    """What a new study is bound to: a data set, the format of its images, and why where it was ``auto``."""

    dataset: str
    format: ImageFormat
    reasons: tuple[str, ...] = ()
    images: RawImages | None = None
    """Those that were looked at; None if they were not."""

    def name(self, split: Split, row: int) -> str:
        """Return the file of a training, validation or test image; for arrays its number."""
        if not isinstance(self.images, Files):
            return f"image {row} of {'test' if split == 'test' else 'training'}"
        listing = self.images.listing
        return (listing.test if split == "test" else listing.train)[row].path


def choose_images(spec: StudySpec) -> ChosenImages:
    """Return the data set and the format that a new study is bound to.

    Raises ``DataError``, and ``ConfigurationError`` if images of the user's own cannot be used.
    """
    name: str = _setting(spec, "dataset")
    reasons = []
    if name == "auto":
        name, because = resolve_auto(settings())
        reasons.append(because)
    fields = {field: _setting(spec, field) for field in ("image_size", "resize", "channels")}
    if name in _STANDARD:
        return ChosenImages(name, ImageFormat.of_fields(fields), tuple(reasons))
    images = _images(spec, name)
    if AUTO not in (fields["image_size"], fields["channels"]):
        return ChosenImages(name, ImageFormat.of_fields(fields), tuple(reasons), images)
    form, why = auto_format(fields, *images.survey())
    return ChosenImages(name, form, (*reasons, *why), images)


_STANDARD = ("cifar10", "synthetic")
"""Data sets whose own format is the default of every field."""


def load_study_images(spec: StudySpec, name: str, form: ImageFormat) -> Dataset:
    """Load the data set ``name`` in the study's format. Raises the errors of ``choose_images``."""
    return load_chosen_images(spec, ChosenImages(name, form))


def load_chosen_images(spec: StudySpec, chosen: ChosenImages) -> Dataset:
    """Load what ``choose_images`` returned, without listing it, or calling the user's function, again."""
    images = chosen.images or _images(spec, chosen.dataset)
    return load_images(chosen.dataset, images, chosen.format, settings())


def load_registered_images(study: RegisteredStudy) -> Dataset:
    """Load the images of a study, with the validation images that it was submitted with."""
    return load_study_images(as_submitted(study.spec, study), study.dataset, study.format)


def as_submitted(spec: StudySpec, study: RegisteredStudy) -> StudySpec:
    """Return a study that validates on what it was submitted with, whatever its images come with now."""
    validation: Validation = "given" if study.given_validation else "drawn"
    return spec.model_copy(update={"validation": validation})


def images_of(name: str, root: str | None, rules: DivisionRules = NO_RULES) -> RawImages:
    """Return the images of a data set, or those that a function of the user's own returns."""
    if ":" in name:
        return users_images(name, root, rules)
    return find_images(name, Path(root) if root else None, settings(), rules)


def _images(spec: StudySpec, name: str) -> RawImages:
    return images_of(name, _setting(spec, "data_root"), spec.division)


def _setting(spec: StudySpec, field: str) -> Any:
    """Return the study's value of a field that cannot be searched."""
    return spec.fixed.get(field, Configuration.model_fields[field].default)
