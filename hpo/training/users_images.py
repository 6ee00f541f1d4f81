"""Images of the user's own: ``dataset: package.module:function``, checked before a study starts."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from hpo.config.division import NO_RULES, DivisionRules
from hpo.config.image_format import ImageFormat
from hpo.data.arrays import UNUSED, ImageData, as_array, as_bytes, memory_source
from hpo.data.auto_format import Surveyed
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Labels, Source, source_signature
from hpo.data.class_names import check_class_names
from hpo.data.division import Division
from hpo.data.fit import as_pixels, fit, in_format, with_borders
from hpo.data.hold_out import held_out_rows, held_out_text
from hpo.data.images import is_colored
from hpo.data.levels import UnknownRangeError, stored, to_rgb
from hpo.data.progress import progress_bar
from hpo.errors import ConfigurationError, DataError
from hpo.text import counted
from hpo.training.users_code import USERS_ERRORS, import_function, raised

_SAMPLED = 64
"""Images, evenly spaced, that show whether the data changed since they were cached."""
_AT_ONCE = 256
_LABELS = ("targets", "labels")
_WANTED = (
    "return a torch Dataset, two or three of them (training, test, or training, validation, test), or "
    "hpo.ImageData"
)
_Pair = tuple[Any, int]


def users_images(path: str, root: str | None, rules: DivisionRules = NO_RULES) -> UsersArrays | UsersDatasets:
    """Call the function at ``path``, with ``root`` if it takes an argument.

    Raises ``ConfigurationError`` if it is not allowed, fails, or returns something else than images.
    """
    function = import_function("dataset", path)
    try:
        found = function(root) if _takes_root(function) else function()
    except USERS_ERRORS as error:
        raise ConfigurationError(raised("dataset", path, "when called", error)) from error
    signature = [path, root, _code(function)]
    if isinstance(found, Mapping):
        found = _from_mapping(path, found)
    if isinstance(found, ImageData):
        return UsersArrays(path, found, signature, rules)
    parts = found if isinstance(found, tuple) and len(found) in (2, 3) else (found, None)
    if not all(_is_dataset(each) for each in parts if each is not None) or parts[0] is None:
        kinds = " and ".join(type(each).__name__ for each in parts if each is not None)
        raise ConfigurationError(f"dataset {path} returned {kinds or 'None'}: {_WANTED}")
    given = parts[1] if len(parts) == 3 else None
    return UsersDatasets(path, parts[0], parts[-1], signature, given, rules)


def _takes_root(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)


def _code(function: Callable[..., Any]) -> str:
    """Return a hash of the file that the function is from; empty if there is none."""
    try:
        source = inspect.getsourcefile(inspect.unwrap(function))
        return hashlib.sha256(Path(source or "").read_bytes()).hexdigest()
    except (TypeError, OSError):
        return ""


def _from_mapping(path: str, found: Mapping[str, Any]) -> ImageData:
    known = [each.name for each in fields(ImageData)]
    unknown = [str(each) for each in found if each not in known]
    if unknown or not {"train_images", "train_labels"} <= {*found}:
        keys = ", ".join(map(str, found)) or "nothing"
        raise ConfigurationError(
            f"dataset {path} returned a mapping of {keys}: use the names {', '.join(known)}"
        )
    return ImageData(**found)


def _is_dataset(each: Any) -> bool:
    return (
        hasattr(each, "__getitem__")
        and hasattr(each, "__len__")
        and not isinstance(each, str | bytes | Mapping)
    )


@dataclass(frozen=True)
class UsersArrays:
    """Images in arrays."""

    path: str
    data: ImageData
    signed: Sequence[object]
    rules: DivisionRules = NO_RULES

    @cached_property
    def _native(self) -> Source:
        arrays = (
            self.data.train_images,
            self.data.train_labels,
            self.data.test_images,
            self.data.test_labels,
            self.data.val_images,
            self.data.val_labels,
        )
        for key, rule in (("groups", self.rules.groups), ("order", self.rules.order)):
            if rule is not None:
                raise ConfigurationError(
                    f"{key}: '{rule}' cannot be read of dataset {self.path}: the function returns "
                    f"hpo.ImageData({key}=...) itself"
                )
        try:
            hashes = [
                hashlib.sha256(np.ascontiguousarray(as_array(each)).tobytes()).hexdigest()
                for each in arrays
                if each is not None
            ]
            signature = source_signature([*self.signed, self.data.version, *self.data.classes, *hashes])
            origin = f"arrays of {self.path}"
            return memory_source(self.data, origin, signature, name="own", rules=self.rules)
        except DataError as error:
            raise ConfigurationError(f"dataset {self.path}: {error}") from None

    def survey(self) -> tuple[Surveyed, int]:
        """Return what the images are like, and how many are trained on."""
        form = self._native.format
        return Surveyed(((form.width, form.height),), form.channels == 3, False), len(self.data.train_labels)

    def source(self, form: ImageFormat) -> Source:
        """Return the images in a format. Raises ``ConfigurationError`` for what is not images."""
        return in_format(self._native, form)


@dataclass(frozen=True)
class UsersDatasets:
    """Images of torch data sets: anything with ``len`` that gives (image, label) by its number."""

    path: str
    train: Any
    test: Any
    signed: Sequence[object]
    given: Any = None
    """The validation images, if there are any."""
    rules: DivisionRules = NO_RULES

    def survey(self) -> tuple[Surveyed, int]:
        """Return what some of the images are like, and how many are trained on."""
        pictures = [self._picture(self.train, number)[0] for number in _spread(len(self.train))]
        colored = any(_has_color(each) for each in pictures)
        return Surveyed(tuple(each.size for each in pictures), colored, len(self.train) > _SAMPLED), len(
            self.train
        )

    def source(self, form: ImageFormat) -> Source:
        """Return the images in a format. Raises ``ConfigurationError`` for what is not images."""
        train = self._labels(self.train, "training")
        test = None if self.test is None else self._labels(self.test, "test")
        given, warnings = self._given()
        classes = self._classes(np.concatenate([each for each in (train, given, test) if each is not None]))
        origin = f"images of {self.path}"
        of_val = "" if given is None else f", {len(given):,} validation"
        kept, tested = np.arange(len(train)), self.test
        if test is None:
            kept, held = held_out_rows(train, classes)
            text = held_out_text(len(held), len(train), None)
            origin += f" ({len(kept):,} train{of_val}, {len(held):,} test; {text})"
            tested, test = self.train, train[held]
        else:
            held = np.arange(len(test))
            origin += f" ({len(train):,} train{of_val}, {len(test):,} test)"
        trained = [(self.train, kept)]
        labels = train[kept]
        if given is not None:
            trained.append((self.given, np.arange(len(given))))
            labels = np.concatenate([labels, given])
        return Source(
            name="own",
            classes=classes,
            count=len(labels) + len(test),
            origin=origin,
            signature=source_signature([*self.signed, *self._sampled(given is not None), *form.signature]),
            decode=lambda: Decoded(
                DecodedSplit(labels, chain(*(self._chunks(*each, form) for each in trained))),
                DecodedSplit(test, self._chunks(tested, held, form)),
            ),
            warnings=warnings,
            format=form,
            division=Division(0 if given is None else len(given)),
        )

    def _given(self) -> tuple[Labels | None, tuple[str, ...]]:
        """Return the labels of the validation images, if they are to be used; and warnings."""
        for key, rule in (("groups", self.rules.groups), ("order", self.rules.order)):
            if rule is not None:
                raise ConfigurationError(
                    f"{key}: '{rule}' cannot be read of dataset {self.path}: return hpo.ImageData({key}=...)"
                )
        if self.given is None:
            if self.rules.validation == "given":
                raise ConfigurationError(f"validation: given, but {self.path} has no validation images")
            return None, ()
        if not self.rules.uses_given:
            return None, (UNUSED.format("the validation images are"),)
        return self._labels(self.given, "validation"), ()

    def _chunks(self, dataset: Any, rows: Labels, form: ImageFormat) -> Iterator[Bytes]:
        with progress_bar(f"reading images of {self.path} ({len(rows):,})", len(rows)) as advance:
            for start in range(0, len(rows), _AT_ONCE):
                part = rows[start : start + _AT_ONCE].tolist()
                pictures = (self._picture(dataset, number)[0] for number in part)
                yield np.stack([with_borders(as_pixels(fit(each, form)), form) for each in pictures])
                advance(len(part))

    def _sampled(self, with_given: bool) -> Iterator[object]:
        for dataset in (self.train, self.test, self.given if with_given else None):
            if dataset is not None:
                yield len(dataset)
                for number in _spread(len(dataset)):
                    picture, label = self._picture(dataset, number)
                    yield hashlib.sha256(picture.tobytes()).hexdigest()
                    yield label

    def _picture(self, dataset: Any, number: int) -> tuple[Image.Image, int]:
        try:
            found = dataset[number]
        except USERS_ERRORS as error:
            raise ConfigurationError(
                raised("dataset", self.path, f"asked for image {number}", error)
            ) from error
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise ConfigurationError(
                f"dataset {self.path}: item {number} is a {type(found).__name__}, not (image, label)"
            )
        return self._as_picture(found[0], number), self._as_label(found[1], number)

    def _as_picture(self, image: Any, number: int) -> Image.Image:
        if isinstance(image, Image.Image):
            return self._converted(image, number)
        if isinstance(image, Tensor):
            image = image.detach().cpu().numpy()
        if not isinstance(image, np.ndarray):
            kind = type(image).__name__
            raise ConfigurationError(
                f"dataset {self.path}: image {number} is a {kind}, not a PIL image, tensor or array"
            )
        try:
            pixels = as_bytes(image[None])[0]
        except DataError as error:
            raise ConfigurationError(f"dataset {self.path}, image {number}: {error}") from None
        return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))

    def _converted(self, image: Image.Image, number: int) -> Image.Image:
        """Return a PIL image in gray or color, as files are converted."""
        how = stored(image)
        if (image.mode == "L" and "transparency" not in image.info) or image.mode == "RGB":
            return image
        try:
            image.load()
            return to_rgb(image, how).image
        except UnknownRangeError as error:
            raise ConfigurationError(f"dataset {self.path}, image {number}: {error}") from None

    def _as_label(self, label: Any, number: int) -> int:
        value = label.item() if hasattr(label, "item") and math.prod(np.shape(label)) == 1 else label
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigurationError(
                f"dataset {self.path}: the label of image {number} is {value!r}, not a whole number from 0"
            )
        return value

    def _labels(self, dataset: Any, what: str) -> Labels:
        if not len(dataset):
            raise ConfigurationError(f"dataset {self.path} has no images for {what}")
        for name in _LABELS:
            found = np.asarray(getattr(dataset, name, ()))
            if found.shape == (len(dataset),) and found.dtype.kind in "iu":
                return found.astype(np.int64)
        with progress_bar(
            f"reading labels of {self.path}, {what} ({len(dataset):,})", len(dataset)
        ) as advance:
            labels = []
            for number in range(len(dataset)):
                labels.append(self._picture(dataset, number)[1])
                advance(1)
        return np.array(labels, dtype=np.int64)

    def _checked(self, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            check_class_names(names)
        except DataError as error:
            raise ConfigurationError(f"dataset {self.path}: {error}") from None
        return names

    def _classes(self, labels: Labels) -> tuple[str, ...]:
        names = getattr(self.train, "classes", None)
        count = int(labels.max()) + 1
        if labels.min() < 0:
            raise ConfigurationError(f"dataset {self.path} has the label {labels.min()}; labels count from 0")
        if isinstance(names, Sequence) and not isinstance(names, str):
            if count > len(names):
                raise ConfigurationError(
                    f"dataset {self.path} has the label {count - 1}, and names {counted(len(names), 'class')}"
                )
            return self._checked(tuple(map(str, names)))
        if count < 2:
            raise ConfigurationError(
                f"dataset {self.path} has the label 0 only; a classifier needs two classes or more"
            )
        return tuple(map(str, range(count)))


def _spread(count: int) -> list[int]:
    return sorted({int(each) for each in np.linspace(0, count - 1, min(count, _SAMPLED))})


def _has_color(picture: Image.Image) -> bool:
    return picture.mode == "RGB" and is_colored(np.asarray(picture))
