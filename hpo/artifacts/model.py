"""An exported network applied to new images: tensors or files in, probabilities of the labels out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from hpo.artifacts.bundle import CONFIGURATION, LABELS, PREPROCESSING, PROGRAM, WEIGHTS, ExportedFolder
from hpo.artifacts.program import PixelFunction, PixelNetwork, load_program
from hpo.config.configuration import Configuration
from hpo.config.image_format import ImageFormat, Shape
from hpo.data.cache import Bytes
from hpo.data.images import DecodedImage, Remark, decode_images
from hpo.data.preprocess import Preprocessor
from hpo.errors import ConfigurationError, DataError, ExportedFolderError
from hpo.limits import available_cores
from hpo.rng import Key
from hpo.training.data import as_many_as_standard
from hpo.training.evaluate import EVALUATION_BATCH
from hpo.training.model_factory import build_model
from hpo.training.network_state import load_network_state

BATCH = EVALUATION_BATCH["cpu"]


@dataclass(frozen=True)
class Prediction:
    """The most probable labels of an image file, best first, its original (width, height), and remarks."""

    path: Path
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    size: tuple[int, int]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Unreadable:
    """An image file that cannot be read, and why."""

    path: Path
    reason: str


class ExportedModel:
    """A trained network with its preprocessing and the names of its classes; see ``load_exported``."""

    def __init__(
        self,
        logits: PixelFunction,
        labels: tuple[str, ...],
        configuration: Configuration,
        device: torch.device,
    ) -> None:
        self._logits = logits
        self._device = device
        self.labels = labels
        self.configuration = configuration

    @property
    def format(self) -> ImageFormat:
        """The size and channels of its images, and how others are made to fit."""
        return self.configuration.image_format

    @torch.inference_mode()
    def probabilities(self, images: Tensor | Bytes, batch: int | None = None) -> Tensor:
        """Return probabilities (N, classes) float32, on the CPU, of images (N, C, H, W) uint8.

        Raises ``DataError`` for images of another type or shape than that of ``format``.
        """
        pixels = torch.as_tensor(images)
        if pixels.dtype != torch.uint8 or tuple(pixels.shape[1:]) != self.format.shape:
            wanted = ", ".join(map(str, self.format.shape))
            raise DataError(
                f"images have type {pixels.dtype} and shape {tuple(pixels.shape)}; expected torch.uint8 and "
                f"(N, {wanted}) with unscaled pixels from 0 to 255"
            )
        with redirect_stdout(sys.stderr):  # what a user's network prints is not the result
            batches = pixels.split(batch or as_many_as_standard(BATCH, pixels))
            parts = [self._logits(part.to(self._device)).softmax(1).cpu() for part in batches]
        return torch.cat(parts) if len(pixels) else torch.empty((0, len(self.labels)))

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) float32, on the CPU, of images (N, C, H, W) uint8 of its ``format``."""
        with redirect_stdout(sys.stderr):
            batches = images.split(as_many_as_standard(BATCH, images))
            return torch.cat([self._logits(part.to(self._device)).float().cpu() for part in batches])

    def predict_files(
        self, paths: Sequence[Path], top: int = 1, batch: int = BATCH
    ) -> Iterator[Prediction | Unreadable]:
        """Yield the prediction for each image file, in order. Only ``batch`` images are in memory at once.

        Images of another size are made to fit its ``format``, as training images were.
        """
        with ThreadPoolExecutor(available_cores()) as pool:
            for start in range(0, len(paths), batch):
                chunk = paths[start : start + batch]
                yield from self._predict(chunk, decode_images(chunk, pool, self.format), top)

    def _predict(
        self, paths: Sequence[Path], decoded: Sequence[DecodedImage | str], top: int
    ) -> Iterator[Prediction | Unreadable]:
        pictures = [each for each in decoded if not isinstance(each, str)]
        found: Iterator[tuple[list[float], list[int]]] = iter(())
        if pictures:
            probabilities = self.probabilities(np.stack([each.pixels for each in pictures]))
            best, order = probabilities.topk(min(top, len(self.labels)))
            found = iter(zip(best.tolist(), order.tolist(), strict=True))
        for path, each in zip(paths, decoded, strict=True):
            if isinstance(each, str):
                yield Unreadable(path, each)
                continue
            shares, places = next(found)
            yield Prediction(
                path, tuple(self.labels[i] for i in places), tuple(shares), each.size, each.remarks
            )


def load_exported(folder: str | Path, *, program: bool = False, device: str = "cpu") -> ExportedModel:
    """Load the network that `hpo export` wrote into ``folder``, and verify the checksums of its files.

    With ``program``, its torch.export program runs instead of hpo's network with its weights: on the CPU, and
    without a user's own model code. Raises ``ExportedFolderError``.
    """
    exported = ExportedFolder(Path(folder))
    configuration = _configuration(exported)
    labels = _labels(exported)
    if program:
        return ExportedModel(_program(exported), labels, configuration, torch.device("cpu"))
    preprocessor = Preprocessor.from_state(_tensors(exported, PREPROCESSING)).to(device)
    network = _network(exported, configuration, len(labels))
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ExportedModel(PixelNetwork(network, preprocessor), labels, configuration, torch.device(device))


def _configuration(exported: ExportedFolder) -> Configuration:
    values = _json(exported, CONFIGURATION)
    try:
        return Configuration(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        fields = ", ".join(str(each["loc"][0]) for each in error.errors())
        raise exported.damaged(CONFIGURATION, f"does not fit this version of hpo (see {fields})") from error


def _labels(exported: ExportedFolder) -> tuple[str, ...]:
    return tuple(map(str, _json(exported, LABELS)))


def _json(exported: ExportedFolder, name: str) -> Any:
    return json.loads(exported.read(name))


def _tensors(exported: ExportedFolder, name: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(exported.read(name))
    except SafetensorError as error:
        raise exported.damaged(name, f"is not a safetensors file ({error})") from error


def _program(exported: ExportedFolder) -> PixelFunction:
    if PROGRAM not in exported:
        raise ExportedFolderError(f"{exported.path} has no {PROGRAM}; its README.md explains why")
    return load_program(exported.read(PROGRAM))


def _network(exported: ExportedFolder, configuration: Configuration, classes: int) -> nn.Module:
    try:
        with redirect_stdout(sys.stderr):
            network = build_network(configuration, classes, configuration.image_format.shape)
    except ConfigurationError as error:
        if PROGRAM not in exported:
            raise
        raise ConfigurationError(f"{error}\n{PROGRAM} runs without your code: use --program") from error
    try:
        load_network_state(network, _tensors(exported, WEIGHTS))
    except RuntimeError as error:
        raise exported.damaged(
            WEIGHTS, f"contains weights for a different network than {configuration.model} builds now"
        ) from error
    return network


def build_network(configuration: Configuration, classes: int, in_shape: Shape) -> nn.Module:
    """Return the configuration's network, ready for trained weights."""
    # Some initializers need training images; the weights that they set would be overwritten.
    plain = configuration.model_copy(update={"initializer": "zeros"})
    return build_model(plain, classes=classes, key=Key(0), sample=None, in_shape=in_shape)
