"""What a trial trains on, resident on its device; and the hash of what it has learned."""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from hpo.config.configuration import Configuration
from hpo.data.cache import Make, preprocessed_images
from hpo.data.datasets import Dataset
from hpo.data.preprocess import AFFINE, Preprocessor
from hpo.data.split import Split
from hpo.heartbeat import beat
from hpo.settings import settings
from hpo.training.device import release_freed_memory
from hpo.training.precision import processor

_CHUNK_IMAGES = 256
_KEPT = 4


@dataclass(frozen=True)
class ImageSet:
    """The images of one role (training, validation, test), ready to be taken in batches."""

    pixels: Tensor
    """(N, 3, 32, 32): uint8 as stored, or float16 that are preprocessed already."""
    labels: Tensor
    """(N,) int64."""
    rows: Tensor
    """(n,) int64: which of the N belong to this set."""
    preprocessor: Preprocessor | None
    """None where ``pixels`` are preprocessed already."""

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Preprocessed images (B, 3, 32, 32) float32 and labels (B,) at ``positions`` (B,) within the set."""
        rows = self.rows.index_select(0, positions)
        pixels = self.pixels.index_select(0, rows)
        images = pixels.float() if self.preprocessor is None else self.preprocessor(pixels)
        return images, self.labels.index_select(0, rows)

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """The first ``count`` images (fewer if the set has fewer) and labels, as ``batch`` gives them."""
        return self.batch(torch.arange(min(count, len(self)), device=self.rows.device))


@dataclass(frozen=True)
class TrialData:
    """A split data set on a device, and the preprocessing that was fitted to its training images."""

    train: ImageSet
    val: ImageSet
    classes: int
    preprocessor: Preprocessor


_Key: TypeAlias = tuple[object, ...]
_prepared: OrderedDict[_Key, TrialData] = OrderedDict()
_resident: dict[tuple[str, torch.device], tuple[Tensor, Tensor]] = {}


def make_trial_data(
    configuration: Configuration, dataset: Dataset, split: Split, device: torch.device
) -> TrialData:
    """Images on ``device``, with preprocessing fitted to the training rows.

    On a CPU nothing is copied: batches are taken from the memory-mapped cache, which workers share; images
    that are preprocessed beforehand are put there too. A process keeps the last few results, so trials that
    differ in other hyperparameters pay for this once.
    """
    key = _data_key(configuration, dataset, split, device)
    if key in _prepared:
        _prepared.move_to_end(key)
        return _prepared[key]
    _make_room(configuration.preprocessing)
    _prepared[key] = _prepare(configuration, dataset, split, device)
    return _prepared[key]


def test_images(dataset: Dataset, preprocessor: Preprocessor, device: torch.device) -> ImageSet:
    """The test split on ``device``, preprocessed as the training images were."""
    labels = torch.from_numpy(np.array(dataset.test_labels)).to(device)
    rows = torch.arange(len(labels), device=device)
    return ImageSet(_shared(dataset.test_images).to(device), labels, rows, preprocessor)


def _data_key(configuration: Configuration, dataset: Dataset, split: Split, device: torch.device) -> _Key:
    values = configuration.applicable()
    fitted = tuple(values[name] for name in ("preprocessing", "pca_components", "whiten_epsilon"))
    rows = hashlib.sha256(split.train.tobytes() + b"|" + split.val.tobytes()).digest()
    return (dataset.fingerprint, rows, *fitted, device)


def _make_room(preprocessing: str) -> None:
    """Drop the oldest results; of transformed images (300 MB for CIFAR-10) only one set is ever held."""
    if preprocessing not in AFFINE:
        for key in [key for key, data in _prepared.items() if data.train.preprocessor is None]:
            del _prepared[key]
    while len(_prepared) >= _KEPT:
        _prepared.popitem(last=False)


def _prepare(configuration: Configuration, dataset: Dataset, split: Split, device: torch.device) -> TrialData:
    pixels, labels = _on_device(dataset, device)
    train_rows = torch.from_numpy(split.train).to(device)
    val_rows = torch.from_numpy(split.val).to(device)
    preprocessor = _fitted(configuration, pixels.index_select(0, train_rows)).to(device)
    release_freed_memory()  # the training images once, and for zca ten matrices of 3072 x 3072
    # A product with such a matrix costs a good part of a training step: once per image, not in every epoch.
    if preprocessor.is_matrix:
        done = _transformed(dataset.fingerprint, pixels, (train_rows, val_rows), preprocessor)
        train, val = _apart(done, labels, train_rows, val_rows)
    else:
        train, val = (ImageSet(pixels, labels, rows, preprocessor) for rows in (train_rows, val_rows))
    data = TrialData(train, val, len(dataset.classes), preprocessor)
    release_freed_memory()
    return data


def _fitted(configuration: Configuration, images: Tensor) -> Preprocessor:
    return Preprocessor.fit(configuration, images, cache=settings().cache.expanduser())


def _on_device(dataset: Dataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """The training split's pixels and labels; a copy on another device is made once and kept."""
    labels = torch.from_numpy(np.array(dataset.train_labels))
    if device.type == "cpu":
        return _shared(dataset.train_images), labels
    place = (dataset.fingerprint, device)
    if place not in _resident:
        _resident.clear()
        _resident[place] = (_shared(dataset.train_images).to(device), labels.to(device))
    return _resident[place]


def _shared(images: np.ndarray) -> Tensor:
    """A tensor over the same memory. Nothing writes to it, but torch cannot know that and would warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images)


def _transformed(
    dataset: str, pixels: Tensor, parts: tuple[Tensor, Tensor], preprocessor: Preprocessor
) -> Tensor:
    """The images at the rows of both parts, preprocessed now; on a CPU in a file that all workers share.

    float16 halves the memory; its 11 bits are more than bf16 training reads.
    """
    shape = (sum(len(rows) for rows in parts), *pixels.shape[1:])
    chunks = partial(_chunks, pixels, parts, preprocessor)
    if pixels.device.type == "cpu":
        name = _transformed_name(dataset, parts, preprocessor)
        make: Make = lambda: (chunk.numpy() for chunk in chunks())  # noqa: E731
        return _shared(preprocessed_images(name, shape, make, settings().cache.expanduser()))
    done = torch.empty(shape, dtype=torch.float16, device=pixels.device)
    filled = 0
    for chunk in chunks():
        done[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return done


def _apart(done: Tensor, labels: Tensor, train: Tensor, val: Tensor) -> tuple[ImageSet, ImageSet]:
    """Training and validation images, which follow each other in ``done``."""
    places = torch.arange(len(done), device=done.device).split([len(train), len(val)])
    mine = labels.index_select(0, torch.cat([train, val]))
    return ImageSet(done, mine, places[0], None), ImageSet(done, mine, places[1], None)


def _chunks(pixels: Tensor, parts: tuple[Tensor, Tensor], preprocessor: Preprocessor) -> Iterator[Tensor]:
    largest = torch.finfo(torch.float16).max
    for rows in parts:
        for chunk in rows.split(_CHUNK_IMAGES):
            yield preprocessor(pixels.index_select(0, chunk)).clamp_(-largest, largest).half()
            beat()


def _transformed_name(dataset: str, parts: tuple[Tensor, Tensor], preprocessor: Preprocessor) -> str:
    """A hash of all that decides each bit: other processors and numbers of threads sum in another order."""
    where = f"{torch.__version__}|{processor(torch.device('cpu'))}|{torch.get_num_threads()}"
    digest = hashlib.sha256(f"{dataset}|{where}".encode())
    for name, part in {"train": parts[0], "val": parts[1], **preprocessor.state()}.items():
        digest.update(f"|{name}|{tuple(part.shape)}|".encode())
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def weights_hash(module: nn.Module) -> str:
    """SHA-256 (hex) over the name, type, shape and bytes of everything in the state dict."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
