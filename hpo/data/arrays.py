"""Images in arrays: what shapes and types are understood, and data sets in an ``.npz`` file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpo.config.division import NO_RULES, DivisionRules
from hpo.config.image_format import ImageFormat
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Labels, Source, source_signature
from hpo.data.class_names import check_class_names
from hpo.data.division import Division
from hpo.data.hold_out import held_out_rows, held_out_text
from hpo.data.image_keys import blocks_from
from hpo.data.levels import lost_on_white
from hpo.errors import DataError
from hpo.files import path_text, regular_file
from hpo.settings import expanded
from hpo.text import counted

Array = npt.NDArray[Any]

_CHANNELS = (1, 3, 4)
_AT_ONCE = 1000
_EMPTY = frozenset({"", "nan", "None", "NaT"})
_WHITE = 255
_DARK = 31
_HUGE = 2**53
"""From here on, floats do not tell neighboring whole numbers apart."""
_NAMES: dict[str, tuple[str, ...]] = {
    "train_images": ("train_images", "x_train", "X_train", "images", "x", "X", "data"),
    "train_labels": ("train_labels", "y_train", "Y_train", "labels", "y", "Y", "targets", "target"),
    "test_images": ("test_images", "x_test", "X_test"),
    "test_labels": ("test_labels", "y_test", "Y_test"),
    "val_images": ("val_images", "x_val", "X_val", "valid_images", "x_valid", "X_valid"),
    "val_labels": ("val_labels", "y_val", "Y_val", "valid_labels", "y_valid", "Y_valid"),
    "classes": ("classes", "class_names", "names"),
}


@dataclass(frozen=True)
class ImageData:
    """Images in memory, as a function of the user's own or an ``.npz`` file has them.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W), of 1, 3 or 4 channels: uint8, or floats from 0 to 1.
    Labels (N,) are whole numbers or names. Without test images, 10 % of each class are held out; without
    validation images, those of training are divided. ``groups`` (N,) names for each training image what it
    must stay together with, such as its patient; ``order`` (N,) is its time: the latest images validate.
    """

    train_images: Any
    train_labels: Any
    test_images: Any = None
    test_labels: Any = None
    classes: Sequence[str] = ()
    """The name of each label 0, 1, ...; by default the labels themselves."""
    version: str = ""
    """Change it when images change but neither the code nor their number does."""
    val_images: Any = field(default=None, kw_only=True)
    val_labels: Any = field(default=None, kw_only=True)
    groups: Any = field(default=None, kw_only=True)
    order: Any = field(default=None, kw_only=True)
    warnings: tuple[str, ...] = field(default=(), kw_only=True)


def as_bytes(images: Array) -> Bytes:
    """Return images as (N, C, H, W) uint8 with 1 or 3 channels. Raises ``DataError`` for what is not images.

    From (N, H, W), (N, H, W, C) or (N, C, H, W); floats are from 0 to 1, bool is black and white, and the
    fourth of four channels is the opacity, over white. A drawing of one light color becomes black.
    """
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim != 4:
        raise DataError(f"images have shape {images.shape}: use (N, H, W), (N, H, W, C) or (N, C, H, W)")
    elif images.shape[1] not in _CHANNELS or (
        images.shape[3] in _CHANNELS and images.shape[2] > images.shape[3]
    ):
        images = images.transpose(0, 3, 1, 2)
    if images.shape[1] not in _CHANNELS:
        raise DataError(f"images have shape {images.shape} (N, C, H, W): use 1, 3 or 4 channels")
    if 0 in images.shape[1:]:
        raise DataError(f"images have shape {images.shape} (N, C, H, W): they have no pixels")
    values = _in_bytes(images)
    if values.shape[1] != 4:
        return values
    opacity = values[:, 3:].astype(np.uint16)
    over_white = (values[:, :3] * opacity + _WHITE * (_WHITE - opacity) + _WHITE // 2) // _WHITE
    lost = lost_on_white(values)
    over_white[lost] = _WHITE - opacity[lost]
    return over_white.astype(np.uint8)


def _unusual(images: Array) -> Iterator[str]:
    """Yield a warning if all of the images are very dark. Raises ``DataError`` for values out of range."""
    if images.dtype.kind in "iu" and images.size:
        brightest = int(images.max())
        if brightest <= _DARK:
            yield f"the largest value of the images is {brightest}, of {_WHITE}: scale them if it means white"
    if images.dtype != np.uint8 and images.size:
        _in_bytes(np.stack([images.min(axis=0), images.max(axis=0)]))


def _in_bytes(images: Array) -> Bytes:
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * _WHITE
    if images.dtype.kind not in "iuf":
        raise DataError(f"images are {images.dtype}: use uint8, or floats from 0 to 1")
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if np.issubdtype(images.dtype, np.floating):
        if not (low >= 0 and high <= 1):  # NaN too
            raise DataError(
                f"images are {images.dtype} from {low:g} to {high:g}: use floats from 0 to 1, or uint8"
            )
        return (images * _WHITE).round().astype(np.uint8)
    if np.issubdtype(images.dtype, np.integer) and low >= 0 and high <= _WHITE:
        return images.astype(np.uint8)
    raise DataError(f"images are {images.dtype} from {low:g} to {high:g}: use uint8, or floats from 0 to 1")


def arrays_source(path: Path, rules: DivisionRules = NO_RULES) -> Source:
    """Return the images of an ``.npz`` file. Raises ``DataError`` if it cannot be used."""
    path = expanded(path).absolute()
    try:
        status = regular_file(path)
        with path.open("rb") as handle:
            loaded = np.load(handle, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise DataError(f"{path} holds a single array: use an .npz file with images and labels")
            read = {key: loaded[key] for key in loaded.files}
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise DataError(f"{path} is not an .npz file without Python objects: {error}") from error
    signed = source_signature(["arrays", path, status.st_size, status.st_mtime_ns])
    data = _named(read, path, rules)
    try:
        return memory_source(data, f"arrays in {path_text(path)}", signed, name="arrays", rules=rules)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _named(read: Mapping[str, Array], path: Path, rules: DivisionRules) -> ImageData:
    found: dict[str, Any] = {
        name: next((read[each] for each in names if each in read), None) for name, names in _NAMES.items()
    }
    for name in ("train_images", "train_labels"):
        if found[name] is None:
            what, has = name.replace("_", " "), ", ".join(read) or "nothing"
            raise DataError(f"{path} has no {what}: it has {has}; use one of {', '.join(_NAMES[name])}")
    names = found.pop("classes")
    classes = [] if names is None else [str(each) for each in names.tolist()]
    for key, rule in (("groups", rules.groups), ("order", rules.order)):
        if rule is not None and rule not in read:
            raise DataError(f"{path}, {key}: there is no array {rule!r}, only {', '.join(read)}")
        found[key] = None if rule is None else read[rule]
    return ImageData(**found, classes=classes)


def memory_source(
    data: ImageData, origin: str, signature: str, *, name: str, rules: DivisionRules = NO_RULES
) -> Source:
    """Return images in memory as a source. Raises ``DataError`` if they cannot be used."""
    images, labels = _part(data.train_images, data.train_labels, "training")
    given = _optional(data.val_images, data.val_labels, "validation") if rules.uses_given else None
    tested = _optional(data.test_images, data.test_labels, "test")
    warnings = list(data.warnings)
    if not rules.uses_given and (data.val_images is not None or data.val_labels is not None):
        warnings.append(UNUSED.format("the validation images are"))
    if given is None and rules.validation == "given":
        raise DataError("validation: given, but there are no validation images")
    parts = [(images, labels), *(each for each in (given, tested) if each is not None)]
    classes, numbers = _numbered([each for _, each in parts], tuple(map(str, data.classes)))
    check_class_names(classes)
    blocks = blocks_from(_texts("groups", data.groups, labels), _texts("order", data.order, labels))
    train = [(images, numbers[0])]
    if tested is not None:
        test = tested[0], numbers[-1]
        held = ""
    else:
        kept, rows = held_out_rows(numbers[0], classes, blocks)
        train, test = [(images[kept], numbers[0][kept])], (images[rows], numbers[0][rows])
        held = f"; {held_out_text(len(rows), len(labels), blocks)}"
        if blocks is not None:
            blocks = blocks.of(kept)
            signature = source_signature([signature, rows.tobytes()])
    if given is not None:
        train.append((given[0], numbers[1]))
        blocks = None  # only training images have them
    counts = [f"{len(train[0][1]):,} train", *([f"{len(given[1]):,} validation"] if given else [])]
    counts.append(f"{len(test[1]):,} test{held}")
    _, channels, height, width = as_bytes(images[:1]).shape
    warnings += dict.fromkeys(each for pixels, _ in (*train, test) for each in _unusual(pixels))
    for each in (*train, test):
        if as_bytes(each[0][:1]).shape[1:] != (channels, height, width):
            shape = as_bytes(each[0][:1]).shape
            raise DataError(
                f"images have {(channels, height, width)} and {shape[1:]} (C, H, W): use one shape"
            )
    return Source(
        name=name,
        classes=classes,
        count=sum(len(each) for _, each in (*train, test)),
        origin=f"{origin} ({', '.join(counts)})",
        signature=signature if given is None else source_signature([signature, "with validation"]),
        decode=lambda: Decoded(
            DecodedSplit(
                np.concatenate([each for _, each in train]), chain(*(_chunks(each) for each, _ in train))
            ),
            DecodedSplit(test[1], _chunks(test[0])),
        ),
        warnings=tuple(warnings),
        format=ImageFormat(height, width, channels),
        division=Division(len(given[1]) if given else 0, blocks),
    )


UNUSED = "{} not used (validation: drawn): hpo draws validation images from those of training (val_fraction)"


def _optional(images: Any, labels: Any, what: str) -> tuple[Array, Array] | None:
    return None if images is None and labels is None else _part(images, labels, what)


def _texts(key: str, values: Any, labels: Array) -> list[str] | None:
    """Return groups or times as texts, one for each label. Raises ``DataError`` if they do not fit."""
    if values is None:
        return None
    found = as_array(values)
    if found.shape != labels.shape:
        raise DataError(
            f"{key} has shape {found.shape}, and there are {counted(len(labels), 'training image')}"
        )
    texts = [str(each) for each in found.tolist()]
    if not _EMPTY.isdisjoint(texts):
        empty = next(place for place, each in enumerate(texts) if each in _EMPTY)
        raise DataError(f"{key} has no value for training image {empty}")
    return texts


def as_array(values: Any) -> Array:
    """Return images or labels as an array. Raises ``DataError`` if they are none."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # other lengths; types and devices of tensors
        raise DataError(f"{type(values).__name__} is not an array: {error}") from error
    return array


def _chunks(images: Array) -> Iterator[Bytes]:
    for start in range(0, len(images), _AT_ONCE):
        yield as_bytes(images[start : start + _AT_ONCE])


def _part(images: Any, labels: Any, what: str) -> tuple[Array, Array]:
    if images is None or labels is None:
        raise DataError(f"there are no {'images' if images is None else 'labels'} for {what}")
    images, labels = as_array(images), as_array(labels)
    if not images.ndim:
        raise DataError(
            f"the images for {what} are a single value: use (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"the labels for {what} have shape {labels.shape}: use one for each image, (N,), not a "
            f"column for "
            "each class"
        )
    if len(images) != len(labels):
        raise DataError(
            f"there are {counted(len(images), f'{what} image')} and {counted(len(labels), 'label')}"
        )
    if not len(images):
        raise DataError(f"there are no images for {what}")
    return images, labels


def _numbered(parts: Sequence[Array], classes: tuple[str, ...]) -> tuple[tuple[str, ...], list[Labels]]:
    """Return the names of the classes, and the labels of each part as numbers 0 to C - 1."""
    names, numbers = _as_numbers(np.concatenate(parts), classes)
    found = np.split(numbers, np.cumsum([len(each) for each in parts])[:-1])
    return names, found


def _as_numbers(labels: Array, classes: tuple[str, ...]) -> tuple[tuple[str, ...], Labels]:
    if labels.dtype.kind in "iub" or (labels.dtype.kind == "f" and (labels == np.floor(labels)).all()):
        if labels.dtype.kind in "uf" and (abs(labels) >= _HUGE).any():
            raise DataError(
                f"labels are from {labels.min()} to {labels.max()}: use whole numbers from 0, or names"
            )
        labels = labels.astype(np.int64)
    elif labels.dtype.kind not in "US":
        raise DataError(f"labels are {labels.dtype}: use whole numbers or names")
    values, places = np.unique(labels, return_inverse=True)
    if len(values) < 2:
        raise DataError(f"every label is {values[0]}; a classifier needs two classes or more")
    if labels.dtype.kind in "US":
        return _named_classes(values, places, classes)
    if not classes:
        return tuple(str(each) for each in values), places.astype(np.int64)
    if values[0] < 0 or values[-1] >= len(classes):
        raise DataError(
            f"labels are from {values[0]} to {values[-1]}, and classes names {len(classes)}: 0 to "
            f"{len(classes) - 1}"
        )
    return classes, labels


def _named_classes(values: Array, places: Array, classes: tuple[str, ...]) -> tuple[tuple[str, ...], Labels]:
    names = [
        each.decode(errors="backslashreplace") if isinstance(each, bytes) else str(each) for each in values
    ]
    if not classes:
        return tuple(names), places.astype(np.int64)
    unknown = [each for each in names if each not in classes]
    if unknown:
        raise DataError(f"the label {unknown[0]!r} is not one of the classes ({', '.join(classes[:5])} ...)")
    order = np.array([classes.index(each) for each in names], dtype=np.int64)
    return classes, order[places]
