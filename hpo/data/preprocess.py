"""Preprocessing of images: centering, scaling, decorrelation, with statistics of the training images only.

Every kind is ``pixels * scale + shift`` (pixels from 0 to 255), followed for pca, whiten and zca by a linear
map given by principal components: rotate into their basis, scale each coordinate, rotate back. The output is
always an image. docs/data.md has the formulas.
"""

from __future__ import annotations

import hashlib
import logging
import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import torch
from torch import Tensor

from hpo.config.configuration import Configuration
from hpo.data.matrices import refuse_large_matrices
from hpo.data.rows import Images
from hpo.errors import ConfigurationError
from hpo.files import locked, mark_used, write_file
from hpo.heartbeat import beat
from hpo.text import counted

_LEVELS = 255.0  # gray levels of a byte; statistics are of pixels / 255
_SMALLEST_SPREAD = 1 / _LEVELS  # do not amplify a pixel that varies by less than a gray level
_MIDDLE = 128.0
_CHUNK = 1024  # images summed at once; with _MIDDLE this keeps float32 exact, see mean_and_covariance
_CACHED_CHUNK = 64  # five times as fast for plain sums: it stays in the processor's cache

logger = logging.getLogger(__name__)

Affine: TypeAlias = tuple[Tensor, Tensor]
"""Center and spread: pixels in [0, 1] become (pixel - center) / spread. Float64, (C, 1, 1) or (C, H, W)."""


class Preprocessor:
    """A fitted preprocessing: uint8 images (B, C, H, W) in, float32 images of the same shape out.

    Its state consists of tensors only, so it can be stored with a model and applied to new images.
    """

    def __init__(
        self, scale: Tensor, shift: Tensor, basis: Tensor | None = None, gain: Tensor | None = None
    ) -> None:
        """``scale`` and ``shift`` broadcast to (C, H, W); ``basis`` is (C * H * W, k) and ``gain`` (k,)."""
        self.scale, self.shift = scale, shift
        self.basis, self.gain = basis, gain
        self._map = None if basis is None or gain is None else _square_map(basis, gain)

    @classmethod
    def fit(cls, configuration: Configuration, images: Images, *, cache: Path | None = None) -> Preprocessor:
        """Fit to training images (N, C, H, W) uint8, on any device; the result is on the same device.

        Principal components take seconds on CIFAR-10; ``cache`` is a folder to store them in, by a hash of
        the images. Raises ``ConfigurationError`` if there are fewer pixels than ``pca_components``.
        """
        kind = configuration.preprocessing
        if kind in AFFINE:
            center, spread = AFFINE[kind](images)
            scale, shift = 1 / (_LEVELS * spread), -center / spread
            return cls(scale.float(), shift.float())
        refuse_large_matrices(kind, math.prod(images.shape[1:]))
        mean, variances, basis = principal_components(images, cache)
        kept = len(variances) if kind == "zca" else configuration.pca_components
        if kept > len(variances):
            raise ConfigurationError(
                f"pca_components is {kept}, but an image has only {counted(len(variances), 'value')}"
            )
        gain = torch.ones_like(variances) if kind == "pca" else _whitening(variances, configuration)
        scale = torch.full((images.shape[1], 1, 1), 1 / _LEVELS)
        shift = -mean.reshape(images.shape[1:])
        parts = (scale, shift, basis[:, :kept].contiguous(), gain[:kept])
        return cls(*(part.float().to(images.device) for part in parts))

    def __call__(self, images: Tensor) -> Tensor:
        """Preprocess uint8 images (B, C, H, W) to float32, in the memory format of the input."""
        centered = self._centered(images)
        if self.basis is None or self.gain is None:
            return centered
        flat = centered.flatten(1)
        flat = (flat @ self.basis * self.gain) @ self.basis.T if self._map is None else flat @ self._map
        result = flat.view(centered.shape)
        return result if centered.is_contiguous() else result.contiguous(memory_format=torch.channels_last)

    def components(self, images: Tensor) -> Tensor:
        """Return coordinates (B, k) in the basis of pca, whiten or zca, where they are uncorrelated."""
        assert self.basis is not None and self.gain is not None, "only pca, whiten and zca have components"
        return self._centered(images).flatten(1) @ self.basis * self.gain

    def _centered(self, images: Tensor) -> Tensor:
        levels = images.to(torch.float32, copy=True)
        if not (self.is_alike_everywhere and levels.is_contiguous(memory_format=torch.channels_last)):
            return levels.mul_(self.scale).add_(self.shift)  # in place: keeps the memory format
        width, lines = levels.shape[3], levels.permute(0, 2, 3, 1).flatten(2)
        lines.mul_(self._line(self.scale, width)).add_(self._line(self.shift, width))  # four times as fast
        return levels

    @staticmethod
    def _line(values: Tensor, width: int) -> Tensor:
        """Repeat values (C, 1, 1) for each pixel of a line in channels_last order (width * C,)."""
        return values.flatten().expand(width, -1).flatten()

    @property
    def is_matrix(self) -> bool:
        """Whether each batch costs a matrix product."""
        return self.basis is not None

    @property
    def is_alike_everywhere(self) -> bool:
        """Whether a value depends on its channel, but not on its place or on other values."""
        return self.basis is None and self.scale.shape[1:] == self.shift.shape[1:] == (1, 1)

    def state(self) -> dict[str, Tensor]:
        """Return everything that ``from_state`` needs."""
        parts = {"scale": self.scale, "shift": self.shift, "basis": self.basis, "gain": self.gain}
        return {name: part for name, part in parts.items() if part is not None}

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Preprocessor:
        """Return the preprocessor with this ``state()``."""
        return cls(**state)

    def to(self, device: torch.device | str) -> Preprocessor:
        """Return a copy on another device."""
        return Preprocessor.from_state({name: part.to(device) for name, part in self.state().items()})


def _square_map(basis: Tensor, gain: Tensor) -> Tensor | None:
    """Return the symmetric map (d, d) if it costs less than two products with ``basis`` (d, k)."""
    pixels, kept = basis.shape
    if 2 * kept <= pixels:
        return None
    half = basis * gain.sqrt()
    whole = half @ half.T
    return (whole + whole.T) / 2


def _whitening(variances: Tensor, configuration: Configuration) -> Tensor:
    return (variances + configuration.whiten_epsilon).rsqrt()


def _none(images: Images) -> Affine:
    center = torch.zeros((images.shape[1], 1, 1), dtype=torch.float64, device=images.device)
    return center, torch.ones_like(center)


def _zero_center(images: Images) -> Affine:
    mean, spread = _standardize_pixel(images)
    return mean, torch.ones_like(spread)


def _per_channel_center(images: Images) -> Affine:
    mean, spread = _standardize(images)
    return mean, torch.ones_like(spread)


def _standardize(images: Images) -> Affine:
    mean, square = _moments(images)
    return _mean_and_spread(mean.mean((1, 2), keepdim=True), square.mean((1, 2), keepdim=True))


def _standardize_pixel(images: Images) -> Affine:
    return _mean_and_spread(*_moments(images))


def _minmax(images: Images) -> Affine:
    """Map the range of each pixel and channel in the training images to -1 to 1."""
    ends = [(chunk.amin(0), chunk.amax(0)) for chunk in images.split(_CACHED_CHUNK)]
    low = torch.stack([each for each, _ in ends]).amin(0).double() / _LEVELS
    high = torch.stack([each for _, each in ends]).amax(0).double() / _LEVELS
    return (low + high) / 2, ((high - low) / 2).clamp_min(_SMALLEST_SPREAD)


AFFINE: dict[str, Callable[[Images], Affine]] = {
    "none": _none,
    "zero_center": _zero_center,
    "per_channel_center": _per_channel_center,
    "standardize": _standardize,
    "standardize_pixel": _standardize_pixel,
    "minmax": _minmax,
}


def _moments(images: Images) -> tuple[Tensor, Tensor]:
    """Return mean and mean square (C, H, W), float64, of levels minus 128; exact, see mean_and_covariance."""
    total = torch.zeros(images.shape[1:], dtype=torch.float64, device=images.device)
    square = torch.zeros_like(total)
    for chunk in images.split(_CACHED_CHUNK):
        levels = chunk.float() - _MIDDLE
        total += levels.sum(0)
        square += levels.square_().sum(0)
    return total / len(images), square / len(images)


def _mean_and_spread(mean: Tensor, square: Tensor) -> Affine:
    """Return mean and standard deviation of pixels / 255 from the moments of levels minus 128."""
    spread = (square - mean * mean).clamp_min(0).sqrt() / _LEVELS
    return (mean + _MIDDLE) / _LEVELS, spread.clamp_min(_SMALLEST_SPREAD)


def principal_components(images: Images, cache: Path | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (d,), descending variances (d,), and components (d, d) as columns, of pixels / 255.

    Float32 on the CPU: the numbers are the same whether they are computed or read from ``cache``.
    """
    if cache is None:
        return _decompose(images)
    path = cache / "components" / f"{_content_hash(images)}.npz"
    try:
        with locked(path):
            found = _read_components(path)
            if found is None:
                found = _decompose(images)
                write_file(path, partial(_save_components, found=found))
    except OSError as error:  # without a cache it only takes longer
        logger.warning("cannot cache principal components at %s: %s", path, error)
        return _decompose(images)
    return found


def _decompose(images: Images) -> tuple[Tensor, Tensor, Tensor]:
    mean, covariance = mean_and_covariance(images)
    rising, components = np.linalg.eigh(covariance.cpu().numpy())
    variances = torch.from_numpy(rising).flip(0).clamp_min(0)
    return mean.cpu().float(), variances.float(), torch.from_numpy(components).flip(1).float()


def mean_and_covariance(images: Images) -> tuple[Tensor, Tensor]:
    """Return mean (d,) and covariance (d, d) of pixels / 255; float64, on the device of the images.

    Images are (N, ...) uint8.

    Sums of products are exact: levels minus 128 are at most 128 in magnitude, so 1024 products add up to at
    most 2**24, and float32 rounds none of them, in any order. It runs at float32 speed in little memory.
    """
    pixels = math.prod(images.shape[1:])
    total = torch.zeros(pixels, dtype=torch.float64, device=images.device)
    products = torch.zeros((pixels, pixels), dtype=torch.float64, device=images.device)
    for chunk in images.split(_CHUNK):
        levels = chunk.flatten(1).float() - _MIDDLE
        total += levels.sum(0)
        products += levels.T @ levels
        beat()
    mean = total / len(images)
    covariance = products.div_(len(images)).addr_(mean, mean, alpha=-1).div_(_LEVELS**2)
    return (mean + _MIDDLE) / _LEVELS, covariance


def _content_hash(images: Images) -> str:
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    for chunk in images.split(_CHUNK):
        digest.update(chunk.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _save_components(handle: BinaryIO, found: tuple[Tensor, Tensor, Tensor]) -> None:
    mean, variances, components = (part.numpy() for part in found)
    np.savez(handle, mean=mean, variances=variances, components=components)


def _read_components(path: Path) -> tuple[Tensor, Tensor, Tensor] | None:
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            names = ("mean", "variances", "components")
            mean, variances, components = (torch.from_numpy(arrays[name]) for name in names)
    except FileNotFoundError:
        return None
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
        logger.warning(
            "the cached principal components %s are damaged (%s); computing them again", path, error
        )
        return None
    mark_used(path)
    return mean, variances, components
