"""Each preprocessing against its formula in plain numpy float64."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from hpo.config.configuration import Configuration
from hpo.data import preprocess
from hpo.data.preprocess import AFFINE, Preprocessor, mean_and_covariance, principal_components
from hpo.errors import ConfigurationError

SHAPE = (3, 4, 4)
PIXELS = 48
MATRIX = ("pca", "whiten", "zca")
TINY = 1e-12
Doubles = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Correlated images (6000, 3, 4, 4): far more of them than pixels, every variance well above rounding."""
    random = np.random.default_rng(0)
    mixing = np.eye(PIXELS) + 0.4 * random.standard_normal((PIXELS, PIXELS))
    levels = 120 + 12 * random.standard_normal((6000, PIXELS)) @ mixing
    return torch.from_numpy(levels.clip(0, 255).round().astype(np.uint8)).view(-1, *SHAPE)


def flat(images: Tensor) -> Doubles:
    return images.numpy().reshape(len(images), -1).astype(np.float64) / 255


def fitted(images: Tensor, kind: str, **values: Any) -> Preprocessor:
    defaults = {"pca_components": 12, "whiten_epsilon": TINY}
    return Preprocessor.fit(Configuration(preprocessing=kind, **{**defaults, **values}), images)  # type: ignore[arg-type]


def applied(images: Tensor, kind: str, **values: Any) -> Doubles:
    result = fitted(images, kind, **values)(images)
    assert result.dtype == torch.float32 and result.shape == images.shape
    return result.numpy().reshape(len(images), -1).astype(np.float64)


def per_channel(values: Doubles) -> Doubles:
    """Statistics (3,) repeated for each pixel of a channel (48,)."""
    return np.repeat(values, PIXELS // 3)


def reference(x: Doubles, kind: str) -> Doubles:
    channels = x.reshape(len(x), 3, -1)
    mean, std = x.mean(0), x.std(0)
    channel_mean, channel_std = per_channel(channels.mean((0, 2))), per_channel(channels.std((0, 2)))
    formulas: dict[str, Doubles] = {
        "none": x,
        "zero_center": x - mean,
        "per_channel_center": x - channel_mean,
        "standardize": (x - channel_mean) / channel_std,
        "standardize_pixel": (x - mean) / std,
        "minmax": 2 * (x - x.min(0)) / (x.max(0) - x.min(0)) - 1,
    }
    return formulas[kind]


@pytest.mark.parametrize("kind", AFFINE)
def test_affine_kinds_equal_their_formula(images: Tensor, kind: str) -> None:
    np.testing.assert_allclose(applied(images, kind), reference(flat(images), kind), atol=2e-5)


def eigen(x: Doubles) -> tuple[Doubles, Doubles]:
    """Variances in falling order and components in columns."""
    centered = x - x.mean(0)
    variances, components = np.linalg.eigh(centered.T @ centered / len(x))
    return variances[::-1], components[:, ::-1]


@pytest.mark.parametrize("kept", [12, 40])
def test_pca_rebuilds_images_from_the_first_components(images: Tensor, kept: int) -> None:
    x = flat(images)
    _, components = eigen(x)
    first = components[:, :kept]
    expected = (x - x.mean(0)) @ first @ first.T
    np.testing.assert_allclose(applied(images, "pca", pca_components=kept), expected, atol=1e-5)


@pytest.mark.parametrize("kept", [12, 40])
def test_whiten_scales_the_first_components(images: Tensor, kept: int) -> None:
    x = flat(images)
    variances, components = eigen(x)
    first = components[:, :kept]
    expected = (x - x.mean(0)) @ first / np.sqrt(variances[:kept] + 1e-3) @ first.T
    np.testing.assert_allclose(
        applied(images, "whiten", pca_components=kept, whiten_epsilon=1e-3), expected, atol=1e-4
    )


def test_zca_equals_the_inverse_root_of_the_covariance(images: Tensor) -> None:
    x = flat(images)
    variances, components = eigen(x)
    root = components / np.sqrt(variances + 1e-3) @ components.T
    np.testing.assert_allclose(applied(images, "zca", whiten_epsilon=1e-3), (x - x.mean(0)) @ root, atol=1e-4)


def test_zca_makes_the_covariance_of_images_the_identity(images: Tensor) -> None:
    white = applied(images, "zca")
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(PIXELS), atol=1e-3)
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-4)


def test_zca_is_symmetric(images: Tensor) -> None:
    """Each column of the map is its response to one bright pixel, compared with a black image."""
    zca = fitted(images, "zca")
    impulses = torch.eye(PIXELS).mul(255).byte().view(-1, *SHAPE)
    columns = (zca(impulses) - zca(torch.zeros_like(impulses))).flatten(1)
    torch.testing.assert_close(columns, columns.T, atol=1e-4, rtol=1e-5)
    assert torch.linalg.eigvalsh(columns.double()).min() > 0


def test_whiten_with_all_components_is_zca(images: Tensor) -> None:
    whiten = applied(images, "whiten", pca_components=PIXELS, whiten_epsilon=1e-2)
    np.testing.assert_allclose(whiten, applied(images, "zca", whiten_epsilon=1e-2), atol=1e-5)


def test_pca_decorrelates(images: Tensor) -> None:
    coordinates = fitted(images, "pca").components(images).double().numpy()
    variances, _ = eigen(flat(images))
    np.testing.assert_allclose(np.cov(coordinates.T, bias=True), np.diag(variances[:12]), atol=1e-6)


@pytest.mark.parametrize("kind", ["whiten", "zca"])
def test_whitened_components_have_unit_covariance(images: Tensor, kind: str) -> None:
    coordinates = fitted(images, kind).components(images).double().numpy()
    np.testing.assert_allclose(np.cov(coordinates.T, bias=True), np.eye(coordinates.shape[1]), atol=1e-3)


def test_sums_are_exact_for_the_largest_levels() -> None:
    """Black and white images make the largest products; float32 must not round their sums."""
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 2, (5000, 1, 2, 2), np.uint8) * 255)
    mean, covariance = mean_and_covariance(images)
    x = flat(images)
    np.testing.assert_allclose(mean.numpy(), x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(covariance.numpy(), np.cov(x.T, bias=True), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("kind", [*AFFINE, *MATRIX])
def test_only_the_given_images_are_measured(images: Tensor, kind: str) -> None:
    """Fitted to dark images it maps bright ones by the dark ones' statistics."""
    dark, bright = images[:500] // 4, images[500:600]
    alone = fitted(dark, kind)(bright)
    torch.testing.assert_close(alone, fitted(torch.cat([dark, dark]), kind)(bright), atol=1e-3, rtol=1e-3)
    if kind not in ("none", *MATRIX):
        assert (alone.mean() - fitted(bright, kind)(bright).mean()).abs() > 0.1


@pytest.mark.parametrize("kind", ["standardize", "standardize_pixel", "minmax", "zca"])
def test_constant_pixels_stay_finite(kind: str) -> None:
    images = torch.full((50, *SHAPE), 7, dtype=torch.uint8)
    np.testing.assert_allclose(applied(images, kind, whiten_epsilon=1e-2), 0, atol=1e-5)
    images[0, 0, 0, 0] = 8
    assert np.abs(applied(images, kind, whiten_epsilon=1e-2)).max() < 3


@pytest.mark.parametrize("kind", [*AFFINE, *MATRIX])
def test_state_gives_the_same_preprocessor(images: Tensor, kind: str, tmp_path: Path) -> None:
    original = fitted(images, kind)
    torch.save(original.state(), tmp_path / "state.pt")
    restored = Preprocessor.from_state(torch.load(tmp_path / "state.pt", weights_only=True)).to("cpu")
    assert torch.equal(original(images[:9]), restored(images[:9]))
    assert restored.is_matrix == (kind in MATRIX)


@pytest.mark.parametrize("kind", [*AFFINE, *MATRIX])
def test_memory_format_is_kept(images: Tensor, kind: str) -> None:
    preprocessor = fitted(images, kind)
    batch = images[:9]
    plain = preprocessor(batch)
    nhwc = preprocessor(batch.contiguous(memory_format=torch.channels_last))
    assert plain.is_contiguous()
    assert nhwc.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain, nhwc)


def test_more_components_than_pixels(images: Tensor) -> None:
    with pytest.raises(ConfigurationError, match="pca_components is 49, but an image has only 48 values"):
        fitted(images, "pca", pca_components=49)


def test_components_are_computed_once(
    images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = principal_components(images, tmp_path)
    monkeypatch.setattr(preprocess, "_decompose", lambda _: pytest.fail("computed again"))
    assert len(first) > 1
    for fresh, kept in zip(first, principal_components(images, tmp_path), strict=True):
        assert torch.equal(fresh, kept)


def test_other_images_have_other_components(images: Tensor, tmp_path: Path) -> None:
    principal_components(images, tmp_path)
    principal_components(images[1:], tmp_path)
    assert len(list((tmp_path / "components").glob("*.npz"))) == 2


def test_damaged_components_are_computed_again(
    images: Tensor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = principal_components(images, tmp_path)
    (path,) = (tmp_path / "components").glob("*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    again = principal_components(images, tmp_path)
    assert f"{path} are damaged" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_an_unwritable_cache_costs_only_time(
    images: Tensor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "components").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        mean, _, _ = principal_components(images, tmp_path)
    np.testing.assert_allclose(mean.numpy(), flat(images).mean(0), atol=1e-6)
    assert "cannot cache principal components" in caplog.text
