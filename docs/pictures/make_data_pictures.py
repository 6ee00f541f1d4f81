"""Draw synthetic.png, samples of the synthetic data set, and preprocessing.png, the preprocessing steps.

Usage: python docs/pictures/make_data_pictures.py
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from hpo.config.configuration import Configuration, Preprocessing
from hpo.config.image_format import STANDARD
from hpo.data.datasets import load_dataset
from hpo.data.preprocess import Preprocessor
from hpo.data.synthetic import CLASSES, SIDE, Bytes
from hpo.settings import settings

HERE = Path(__file__).parent
GAP = 2  # pixels between two pictures
PER_CLASS = 18
CLEAR = (4, 2, 11, 4, 15, 7, 5, 1, 15, 3)  # a picture with little noise of each class, counted from 0
SAYS = {
    "none": "pixels in [0, 1]",
    "zero_center": "minus the mean image",
    "per_channel_center": "minus the mean color",
    "standardize": "minus mean, over deviation\nof each channel",
    "standardize_pixel": "minus mean, over deviation\nof each pixel and channel",
    "minmax": "each pixel's range to [-1, 1]",
    "pca": "rebuilt from 256 of\n3072 components",
    "whiten": "the same, each component\nbrought to equal variance",
    "zca": "all components brought\nto equal variance",
}


def strip(images: np.ndarray) -> np.ndarray:
    """Place images (n, 3, H, W) side by side (H, W', 3) with white gaps."""
    padded = np.pad(images, ((0, 0), (0, 0), (0, 0), (0, GAP)), constant_values=images.dtype.type(255))
    return np.moveaxis(np.concatenate(padded, axis=2), 0, 2)[:, :-GAP]


def show(axes: Axes, images: np.ndarray, name: str, says: str = "") -> None:
    axes.imshow(strip(images), interpolation="nearest")
    axes.set_axis_off()
    height = SIDE / 2 - 0.5
    axes.text(-10, height - (6 if says else 0), name, ha="right", va="center", fontsize=11, weight="bold")
    if says:
        axes.text(-10, height + 6, says, ha="right", va="center", fontsize=7.5, color="0.35")


def contact_sheet(images: Bytes, labels: np.ndarray) -> None:
    figure, rows = plt.subplots(len(CLASSES), 1, figsize=(12.6, 6.6))
    for label, (name, axes) in enumerate(zip(CLASSES, rows, strict=True)):
        show(axes, images[labels == label][:PER_CLASS], name)
    figure.subplots_adjust(left=0.09, right=0.995, top=0.99, bottom=0.01, hspace=0.06)
    figure.savefig(HERE / "synthetic.png", dpi=110)
    plt.close(figure)


def visible(values: np.ndarray, kind: str) -> Bytes:
    """Map values to colors: 0 is gray, and 99.5 % of the values lie between black and white."""
    if kind != "none":
        values = 0.5 + values / (2 * np.quantile(np.abs(values), 0.995))
    return (values.clip(0, 1) * 255).astype(np.uint8)


def draw_histogram(axes: Axes, values: np.ndarray) -> None:
    axes.hist(values.ravel(), bins=80, range=(-3, 3), color="#0072B2", density=True)
    axes.axvline(0, color="0.6", linewidth=0.6)
    axes.set(xlim=(-3, 3), yticks=[], xticks=[-2, -1, 0, 1, 2])
    axes.tick_params(labelsize=7, length=2, pad=1)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.text(2.9, axes.get_ylim()[1] * 0.75, f"std {values.std():.2f}", ha="right", fontsize=7.5)


def preprocessing_picture(images: Bytes, labels: np.ndarray) -> None:
    train = torch.from_numpy(np.array(images))
    shown = [int(np.flatnonzero(labels == label)[place]) for label, place in enumerate(CLEAR)]
    kinds = get_args(Preprocessing)
    figure, cells = plt.subplots(len(kinds), 2, figsize=(12.6, 8.6), gridspec_kw={"width_ratios": [4.2, 1]})
    for kind, (left, right) in zip(kinds, cells, strict=True):
        preprocessor = Preprocessor.fit(Configuration(preprocessing=kind), train, cache=settings().cache)
        show(left, visible(preprocessor(train[shown]).numpy(), kind), kind, SAYS[kind])
        draw_histogram(right, preprocessor(train[:1000]).numpy())
    figure.subplots_adjust(left=0.17, right=0.985, top=0.995, bottom=0.025, hspace=0.3, wspace=0.03)
    figure.savefig(HERE / "preprocessing.png", dpi=110)
    plt.close(figure)


def main() -> None:
    dataset = load_dataset("synthetic", STANDARD, settings=settings())
    contact_sheet(dataset.train_images, dataset.train_labels)
    preprocessing_picture(dataset.train_images, dataset.train_labels)


if __name__ == "__main__":
    main()
