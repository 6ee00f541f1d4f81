"""NetworkOptions: the part of a configuration that a network is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkOptions:
    """The options of every network; meaning, limits and defaults are in `hpo.config.configuration`."""

    model: str = "convnet"
    width: int = 16
    depth: int | None = None
    activation: str = "relu"
    negative_slope: float = 0.01
    elu_alpha: float = 1.0
    maxout_pieces: int = 2
    initializer: str = "he"
    init_distribution: str = "normal"
    init_std: float = 0.05
    init_constant: float = 0.01
    batch_norm: str = "before"
    norm: str = "batch"
    norm_momentum: float = 0.1
    norm_epsilon: float = 1e-5
    norm_groups: int = 8
    dropout: float = 0.0
    dropout_kind: str = "plain"
    stem: str = "plain"
    stem_epsilon: float = 5e-4
    stem_frozen_share: float = 1.0
    stem_bias_share: float = 0.3
    norm_scale: str = "trained"
    output_scale: float = 1.0
