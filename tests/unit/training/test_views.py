"""Accuracy over mirrored and shifted copies, against torch's own padding and by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.rng import Key
from hpo.training.data import ImageSet, TrialData
from hpo.training.evaluate import evaluate
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.setup import TrialSetup
from hpo.training.views import mean_over_views, views_name

Make = Callable[..., tuple[Configuration, TrialData]]
CPU = torch.device("cpu")


def _recipe(function: Callable[[Tensor], Tensor], images: Tensor, views: int) -> Tensor:
    """The rule of Jordan 2024, section 3.5, with pads and slices."""

    def mirror(x: Tensor) -> Tensor:
        return (function(x) + function(x.flip(-1))) / 2

    if views == 2:
        return mirror(images)
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), "reflect")
    corners = padded[:, :, :height, :width], padded[:, :, 2:, 2:]
    return mirror(images) / 2 + (mirror(corners[0]) + mirror(corners[1])) / 4


@pytest.mark.parametrize("views", [2, 6])
def test_views_are_those_of_the_recipe(views: int) -> None:
    images = torch.randn(5, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    layer = nn.Conv2d(3, 4, 3)
    function = lambda x: layer(x).relu().flatten(1)  # noqa: E731
    torch.testing.assert_close(mean_over_views(function, images, views), _recipe(function, images, views))


def test_views_of_bytes_are_moved_alike() -> None:
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    whole = mean_over_views(lambda x: x.float(), pixels, 6)
    torch.testing.assert_close(whole, _recipe(lambda x: x, pixels.float(), 6))


class _Side(nn.Module):
    """Class 1 if the left half is brighter, by a margin that depends on the side."""

    def forward(self, x: Tensor) -> Tensor:
        left = (x[:, 0, :, :4].mean((1, 2)) > 0).float()
        return torch.stack([torch.full_like(left, 0.6), left], 1)


def test_plain_numbers_stay_plain_and_the_views_have_their_own() -> None:
    """Alone the left side decides; with the mirror image 0.5 is too little for class 1."""
    pixels = torch.zeros(4, 3, 8, 8)
    pixels[:, :, :, :4] = 1
    images = ImageSet(pixels, torch.ones(4, dtype=torch.int64), torch.arange(4), None)
    model = _Side()
    plain, both = evaluate(model, images, "fp32"), evaluate(model, images, "fp32", views=2)
    assert (plain.accuracy, plain.own) == (1.0, {})
    assert (both.accuracy, both.loss, both.confusion) == (1.0, plain.loss, plain.confusion)
    assert both.own == {"val_2_views_accuracy": 0.0}
    assert views_name(1, "test") == "test_accuracy"


def test_an_epoch_reports_both_and_trains_the_same(make_tiny: Make) -> None:
    found: dict[str, Any] = {}
    for views in ("1", "6"):
        configuration, data = make_tiny(epochs=1, eval_views=views, precision="fp32")
        model = build_model(configuration, classes=10, in_shape=STANDARD.shape, key=Key(1), sample=None)
        setup = TrialSetup.of(configuration, model, data, Key(1), CPU, "fp32")
        (found[views],) = train(setup)
    assert found["1"].val_loss == found["6"].val_loss and found["1"].metrics == {}
    assert list(found["6"].metrics) == ["val_6_views_accuracy"]
