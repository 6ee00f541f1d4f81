from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo.artifacts.metrics import measure
from hpo.artifacts.model import ExportedModel
from hpo.config.configuration import Configuration


def test_accuracy_loss_and_classes_of_a_known_answer() -> None:
    """Pixel (0, 0) of each image says which class its network names, with logit 2 against 0 and 0."""

    def logits(images: Tensor) -> Tensor:
        return 2.0 * torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 3).float()

    named, truth = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0])
    images = np.zeros((5, 3, 32, 32), np.uint8)
    images[:, 0, 0, 0] = named
    model = ExportedModel(logits, ("a", "b", "c"), Configuration(), torch.device("cpu"))
    measured = measure(model, images, truth)
    assert (measured.images, measured.accuracy) == (5, 0.6)
    whole = math.log(math.exp(2) + 2)
    assert measured.loss == pytest.approx((3 * (whole - 2) + 2 * whole) / 5, rel=1e-5)
    assert measured.per_class == {"a": 0.5, "b": 0.5, "c": 1.0}


def test_a_class_without_images_has_no_accuracy(tmp_path: Path) -> None:
    model = ExportedModel(
        lambda images: torch.zeros(len(images), 2), ("a", "b"), Configuration(), torch.device("cpu")
    )
    measured = measure(model, np.zeros((2, 3, 32, 32), np.uint8), np.array([0, 0]))
    assert measured.per_class == {"a": 1.0, "b": None}
