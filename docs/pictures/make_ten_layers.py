"""Draw ten_layers.png: the lecture's ten-layer experiment (CS231n 2016, lecture 5) with the layers of hpo.

Usage: python docs/pictures/make_ten_layers.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from hpo.models.activations import named_activation_layers
from hpo.models.initializers import initialize
from hpo.models.mlp import perceptron
from hpo.models.options import NetworkOptions

LAYERS, UNITS, ROWS, NETWORKS = 10, 500, 1000, 20
CASES = [  # activation, initializer, title, color (Okabe & Ito's color-blind safe palette)
    ("tanh", "small_gaussian", "tanh, 0.01 · randn: collapses", "#D55E00"),
    ("tanh", "xavier", "tanh, Xavier: stays alive", "#0072B2"),
    ("relu", "xavier", "ReLU, Xavier: dies slowly", "#E69F00"),
    ("relu", "he", "ReLU, He: stays alive", "#009E73"),
]
MARKERS = "ovs^"


def hidden_values(activation: str, initializer: str, seed: int) -> list[np.ndarray]:
    """Return the activations of each hidden layer for normal inputs."""
    options = NetworkOptions(activation=activation, initializer=initializer, batch_norm="none")
    network = perceptron(options, inputs=UNITS, hidden=[UNITS] * LAYERS, classes=10)
    generator = torch.Generator().manual_seed(seed)
    initialize(network, options, generator, None)
    values: list[np.ndarray] = []
    for _, layer in named_activation_layers(network):
        layer.register_forward_hook(lambda layer, inputs, output: values.append(output.numpy().ravel()))
    with torch.no_grad():
        network(torch.randn(ROWS, UNITS, generator=generator))
    return values


def draw_histogram(axes: Axes, values: np.ndarray, color: str, *, signed: bool, number: int) -> None:
    low, high = (-1.0, 1.0) if signed else (0.0, 3.0)
    counts, edges = np.histogram(values, bins=40, range=(low, high))
    # The bar of ReLU's zeros would dwarf the others: the height ends at three times the next largest bar.
    axes.bar(edges[:-1], counts, width=edges[1] - edges[0], align="edge", color=color)
    axes.set_ylim(0, min(counts.max(), 3 * np.sort(counts)[-2] + 1) * 1.05)
    axes.set(xticks=[low, high], yticks=[], xlim=(low, high))
    axes.tick_params(labelsize=7)
    axes.set_title(f"layer {number}", fontsize=7, pad=2)


def main() -> None:
    figure = plt.figure(figsize=(12, 9), layout="constrained")
    curve, *rows = figure.subfigures(5, 1, height_ratios=[2.4, 1, 1, 1, 1])
    axes = curve.subplots()
    for row, marker, (activation, initializer, title, color) in zip(rows, MARKERS, CASES, strict=True):
        values = hidden_values(activation, initializer, seed=0)
        every = [hidden_values(activation, initializer, seed) for seed in range(NETWORKS)]
        stds = np.array([[layer.std() for layer in network] for network in every]).mean(axis=0)
        axes.plot(range(1, LAYERS + 1), stds, color=color, marker=marker, label=title)
        row.suptitle(title, fontsize=9, x=0.01, ha="left")
        for number, (cell, layer) in enumerate(zip(row.subplots(1, LAYERS), values, strict=True), 1):
            draw_histogram(cell, layer, color, signed=activation == "tanh", number=number)
        print(f"{title}: std " + ", ".join(f"{std:.4g}" for std in stds))
    axes.set(
        yscale="log",
        xticks=range(1, LAYERS + 1),
        xlabel="hidden layer",
        ylabel=f"standard deviation, mean of {NETWORKS}",
    )
    axes.set_title(
        "Values in the hidden layers of a 10-layer network of 500 units each, before training", fontsize=11
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    figure.savefig(Path(__file__).with_name("ten_layers.png"), dpi=90)


if __name__ == "__main__":
    main()
