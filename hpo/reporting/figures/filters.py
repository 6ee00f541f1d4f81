"""The filters of a network's first layer as pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from safetensors import safe_open

from hpo.artifacts.store import WEIGHTS
from hpo.reporting.figures.canvas import drawing
from hpo.reporting.figures.style import LIGHT, Theme
from hpo.text import counted

_COLUMNS = 16
_CHANNELS = (1, 3)
"""Of images: gray or RGB."""


def first_layer(folder: Path) -> NDArray[np.float32] | None:
    """Return the filters of the first layer from saved weights: (filters, channels, height, width).

    Returns None if the first layer is not a convolution, or the weights are gone.
    """
    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                shape = file.get_slice(name).get_shape()
                if len(shape) == 4 and shape[1] in _CHANNELS and shape[2] > 1:
                    filters: NDArray[np.float32] = file.get_tensor(name).astype(np.float32)
                    return filters
    except OSError:
        return None
    return None


def first_layer_filters(filters: NDArray[np.float32], theme: Theme = LIGHT) -> Figure:
    """Draw each filter as a small picture on a common scale; zero is gray."""
    count = len(filters)
    columns = min(_COLUMNS, count)
    rows = math.ceil(count / columns)
    scale = float(np.abs(filters).max()) or 1.0
    with drawing(theme):
        figure = Figure(figsize=(0.6 * columns + 0.6, 0.6 * rows + 0.8), layout="constrained")
        axes: Any = figure.subplots(rows, columns, squeeze=False)
        for place, each in enumerate(axes.flat):
            each.set_axis_off()
            if place < count:
                picture = (filters[place].transpose(1, 2, 0) / scale + 1) / 2
                gray = picture.shape[2] == 1
                each.imshow(picture[..., 0] if gray else picture, cmap="gray", vmin=0, vmax=1)
        figure.suptitle(f"{counted(count, 'filter')} of the first layer", fontsize=10)
    return figure
