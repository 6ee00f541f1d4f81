"""The images that a trial trains on, resident on its device; and the hash of its weights."""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD, Shape
from hpo.data.augmenter import Augmenter
from hpo.data.cache import Make, preprocessed_images
from hpo.data.datasets import Dataset
from hpo.data.file_rows import FileRows, file_rows, read_rows
from hpo.data.preprocess import AFFINE, Preprocessor
from hpo.data.rows import Rows
from hpo.data.split import Split
from hpo.heartbeat import beat
from hpo.settings import settings
from hpo.training.device import release_freed_memory
from hpo.training.network_state import network_state
from hpo.training.precision import processor

_CHUNK_IMAGES = 256
_KEPT = 4


@dataclass(frozen=True)
class ImageSet:
    """The images of one split (training, validation, test), read in batches."""

    pixels: Tensor
    """(N, C, H, W): uint8 as stored, or float16 if already preprocessed."""
    labels: Tensor
    """(N,) int64."""
    rows: Tensor
    """(n,) int64: the indices of this set's images in ``pixels``."""
    preprocessor: Preprocessor | None
    """None if ``pixels`` are already preprocessed."""
    file: FileRows | None = None
    """Reads ``pixels`` if they are mapped from a large file."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_alike_everywhere(self) -> bool:
        """Whether pixels may be moved within an image before they are preprocessed, with the same result."""
        return self.preprocessor is None or self.preprocessor.is_alike_everywhere

    def class_counts(self, classes: int) -> tuple[int, ...]:
        """Return how many of the images each class has (C,)."""
        labels = self.labels.index_select(0, self.rows)
        return tuple(torch.bincount(labels, minlength=classes).tolist())

    def batch(
        self, positions: Tensor, change: Callable[[Tensor], Tensor] = lambda pixels: pixels
    ) -> tuple[Tensor, Tensor]:
        """Return images (B, C, H, W) float32, preprocessed, and labels (B,) at ``positions`` (B,).

        ``change`` transforms the pixels before they are preprocessed, which keeps their memory order.
        """
        rows = self.rows.index_select(0, positions)
        pixels = change(read_rows(self.pixels, rows, self.file))
        images = pixels.float() if self.preprocessor is None else self.preprocessor(pixels)
        return images, self.labels.index_select(0, rows)

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the first ``count`` images and labels (fewer if the set is smaller), like ``batch``."""
        return self.batch(torch.arange(min(count, len(self)), device=self.rows.device))


@dataclass(frozen=True)
class TrialData:
    """A split data set on a device, and the preprocessing fitted to its training images."""

    train: ImageSet
    val: ImageSet
    class_names: tuple[str, ...]
    preprocessor: Preprocessor

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width of an image."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return len(self.class_names)


def as_many_as_standard(images: int, pixels: Tensor) -> int:
    """Return how many images (N, C, H, W) need as much memory in a network as ``images`` standard ones."""
    area = pixels.shape[2] * pixels.shape[3]
    return max(1, min(images, images * STANDARD.height * STANDARD.width // area))


_Key: TypeAlias = tuple[object, ...]
_prepared: OrderedDict[_Key, TrialData] = OrderedDict()
_resident: dict[tuple[str, torch.device], tuple[Tensor, Tensor]] = {}


def make_trial_data(
    configuration: Configuration, dataset: Dataset, split: Split, device: torch.device
) -> TrialData:
    """Put the images on ``device``, with preprocessing fitted to the training rows.

    On a CPU nothing is copied: batches are read from the memory-mapped cache, which workers share; images
    preprocessed in advance are stored there too. A process keeps the last few results, so trials that differ
    only in other hyperparameters pay for this once.
    """
    key = _data_key(configuration, dataset, split, device)
    if key in _prepared:
        _prepared.move_to_end(key)
        return _prepared[key]
    _make_room(configuration.preprocessing)
    _prepared[key] = _prepare(configuration, dataset, split, device)
    return _prepared[key]


def preprocessed_test_images(dataset: Dataset, preprocessor: Preprocessor, device: torch.device) -> ImageSet:
    """Return the test split on ``device``, preprocessed like the training images."""
    labels = torch.from_numpy(np.array(dataset.test_labels)).to(device)
    rows = torch.arange(len(labels), device=device)
    file = file_rows(dataset.test_images) if device.type == "cpu" else None
    return ImageSet(_shared(dataset.test_images).to(device), labels, rows, preprocessor, file)


def _data_key(configuration: Configuration, dataset: Dataset, split: Split, device: torch.device) -> _Key:
    values = configuration.applicable()
    fitted = tuple(values[name] for name in ("preprocessing", "pca_components", "whiten_epsilon"))
    rows = hashlib.sha256(split.train.tobytes() + b"|" + split.val.tobytes()).digest()
    return (dataset.fingerprint, rows, *fitted, Augmenter(configuration).changes_pixels, device)


def _make_room(preprocessing: str) -> None:
    """Drop the oldest results. Only one set of transformed images (300 MB for CIFAR-10) is ever held."""
    if preprocessing not in AFFINE:
        for key in [key for key, data in _prepared.items() if data.train.preprocessor is None]:
            del _prepared[key]
    while len(_prepared) >= _KEPT:
        _prepared.popitem(last=False)


def _prepare(configuration: Configuration, dataset: Dataset, split: Split, device: torch.device) -> TrialData:
    pixels, labels = _on_device(dataset, device)
    train_rows = torch.from_numpy(split.train).to(device)
    val_rows = torch.from_numpy(split.val).to(device)
    file = file_rows(dataset.train_images) if device.type == "cpu" else None
    preprocessor = _fitted(configuration, Rows(pixels, train_rows, file)).to(device)
    release_freed_memory()  # for zca ten matrices of d x d, 3072 for CIFAR-10
    # The product with such a matrix costs much of a training step: do it once per image, not every epoch.
    if preprocessor.is_matrix and not Augmenter(configuration).changes_pixels:
        rows = train_rows, val_rows
        done, file = _transformed(dataset.fingerprint, pixels, rows, preprocessor, file)
        train, val = _apart(done, file, labels, *rows)
    else:
        train, val = (ImageSet(pixels, labels, rows, preprocessor, file) for rows in (train_rows, val_rows))
    data = TrialData(train, val, dataset.classes, preprocessor)
    release_freed_memory()
    return data


def _fitted(configuration: Configuration, images: Rows) -> Preprocessor:
    return Preprocessor.fit(configuration, images, cache=settings().cache)


def _on_device(dataset: Dataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the training split's pixels and labels; a copy on another device is made once and kept."""
    labels = torch.from_numpy(np.array(dataset.train_labels))
    if device.type == "cpu":
        return _shared(dataset.train_images), labels
    place = (dataset.fingerprint, device)
    if place not in _resident:
        _resident.clear()
        _resident[place] = (_shared(dataset.train_images).to(device), labels.to(device))
    return _resident[place]


def _shared(images: np.ndarray) -> Tensor:
    """Return a tensor that shares the memory. Nothing writes to it, so torch's warning is suppressed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images)


def _transformed(
    dataset: str,
    pixels: Tensor,
    parts: tuple[Tensor, Tensor],
    preprocessor: Preprocessor,
    file: FileRows | None,
) -> tuple[Tensor, FileRows | None]:
    """Preprocess the images at the rows of both parts; on a CPU into a file that all workers share.

    float16 halves the memory; its 11 significant bits are more than bf16 training uses.
    """
    shape = (sum(len(rows) for rows in parts), *pixels.shape[1:])
    chunks = partial(_chunks, pixels, parts, preprocessor, file)
    if pixels.device.type == "cpu":
        name = _transformed_name(dataset, parts, preprocessor)
        make: Make = lambda: (chunk.numpy() for chunk in chunks())  # noqa: E731
        found = preprocessed_images(name, shape, make, settings().cache)
        return _shared(found), file_rows(found)
    done = torch.empty(shape, dtype=torch.float16, device=pixels.device)
    filled = 0
    for chunk in chunks():
        done[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return done, None


def _apart(
    done: Tensor, file: FileRows | None, labels: Tensor, train: Tensor, val: Tensor
) -> tuple[ImageSet, ImageSet]:
    """Return the training and the validation images, which follow each other in ``done``."""
    places = torch.arange(len(done), device=done.device).split([len(train), len(val)])
    mine = labels.index_select(0, torch.cat([train, val]))
    return ImageSet(done, mine, places[0], None, file), ImageSet(done, mine, places[1], None, file)


def _chunks(
    pixels: Tensor, parts: tuple[Tensor, Tensor], preprocessor: Preprocessor, file: FileRows | None
) -> Iterator[Tensor]:
    largest = torch.finfo(torch.float16).max
    for rows in parts:
        for chunk in rows.split(_CHUNK_IMAGES):
            yield preprocessor(read_rows(pixels, chunk, file)).clamp_(-largest, largest).half()
            beat()


def _transformed_name(dataset: str, parts: tuple[Tensor, Tensor], preprocessor: Preprocessor) -> str:
    """Hash everything that determines each bit: the order of sums depends on processor and threads."""
    where = f"{torch.__version__}|{processor(torch.device('cpu'))}|{torch.get_num_threads()}"
    digest = hashlib.sha256(f"{dataset}|{where}".encode())
    for name, part in {"train": parts[0], "val": parts[1], **preprocessor.state()}.items():
        digest.update(f"|{name}|{tuple(part.shape)}|".encode())
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def weights_hash(module: nn.Module) -> str:
    """Return the SHA-256 (hex) of the name, type, shape and bytes of all tensors in the state dict."""
    digest = hashlib.sha256()
    for name, tensor in network_state(module).items():
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
