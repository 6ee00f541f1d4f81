from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hpo.artifacts.store import WEIGHTS
from hpo.reporting.figures.filters import first_layer, first_layer_filters


def test_first_layer_is_the_convolution_on_the_image(tmp_path: Path) -> None:
    first = np.random.default_rng(0).normal(size=(20, 3, 5, 5)).astype(np.float32)
    weights = {
        "a.deeper.weight": np.zeros((8, 20, 3, 3), np.float32),
        "b.stem.weight": first,
        "c.shortcut.weight": np.zeros((8, 3, 1, 1), np.float32),
        "head.weight": np.zeros((10, 8), np.float32),
    }
    save_file(weights, tmp_path / WEIGHTS)
    np.testing.assert_array_equal(first_layer(tmp_path), first)


def test_first_layer_missing_is_none(tmp_path: Path) -> None:
    assert first_layer(tmp_path) is None
    save_file({"head.weight": np.zeros((10, 8), np.float32)}, tmp_path / WEIGHTS)
    assert first_layer(tmp_path) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_filters_map_zero_to_gray_and_the_maximum_to_white(channels: int) -> None:
    filters = np.zeros((17, channels, 3, 3), np.float32)
    filters[16, :, 1, 1] = 2.0
    figure = first_layer_filters(filters)
    shown = [np.asarray(axes.get_images()[0].get_array()) for axes in figure.axes if axes.get_images()]
    assert len(shown) == 17 and len(figure.axes) == 32
    assert np.ravel(shown[16][1, 1])[0] == 1.0
    assert np.ravel(shown[0])[0] == 0.5
