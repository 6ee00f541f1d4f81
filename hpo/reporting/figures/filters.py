"""What the first layer of a network looks for, as pictures."""

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

_COLUMNS = 16
_CHANNELS = (1, 3)
"""Of images: grey or colours."""


def first_layer(folder: Path) -> NDArray[np.float32] | None:
    """The filters that see the image, of kept weights: (filters, channels, height, width).

    None where the first layer is none, or the weights are gone.
    """
    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                shape = file.get_slice(name).get_shape()
                if len(shape) == 4 and shape[1] in _CHANNELS and shape[2] > 1:
                    filters: NDArray[np.float32] = file.get_tensor(name).astype(np.float32)
                    return filters
    except OSError:
        return None
    return None


def first_layer_filters(filters: NDArray[np.float32], theme: Theme = LIGHT) -> Figure:
    """Each filter as a small picture, grey where it is zero; all on one scale."""
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
                grey = picture.shape[2] == 1
                each.imshow(picture[..., 0] if grey else picture, cmap="gray", vmin=0, vmax=1)
        figure.suptitle(f"{count} filters of the first layer", fontsize=10)
    return figure
