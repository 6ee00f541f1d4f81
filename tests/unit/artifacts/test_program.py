from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from hpo.artifacts.model import build_network
from hpo.artifacts.program import PixelNetwork, load_program, make_program, users_program
from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.data.preprocess import Preprocessor
from hpo.models.activations import ACTIVATIONS
from hpo.models.catalog import MODELS
from hpo.training.data import ImageSet
from hpo.training.evaluate import evaluate

PIXELS = torch.randint(
    0, 256, (7, *STANDARD.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
AFFINE = Preprocessor(torch.full((3, 1, 1), 1 / 255), torch.full((3, 1, 1), -0.5))


def pixel_network(preprocessor: Preprocessor = AFFINE, **values: Any) -> PixelNetwork:
    """A network with random weights and running statistics."""
    network = build_network(Configuration(**{"width": 4, **values}), classes=10, in_shape=STANDARD.shape)
    generator = torch.Generator().manual_seed(1)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.2 + 0.05)
    return PixelNetwork(network, preprocessor)


def test_it_gives_what_training_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accuracy of the training's own evaluation, image by image."""
    model = pixel_network()
    found = model(PIXELS).argmax(1)
    images = ImageSet(PIXELS, found, torch.arange(len(PIXELS)), AFFINE)
    assert evaluate(model.network, images, "fp32").accuracy == 1.0


@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_program_gives_the_same_for_any_number_of_images(program: Any, count: int) -> None:
    model, run = program
    assert torch.equal(run(PIXELS[:count]), model(PIXELS[:count]))


@pytest.fixture(scope="module")
def program() -> Any:
    model = pixel_network()
    return model, load_program(make_program(model, STANDARD.shape))


def test_whitening_is_part_of_it() -> None:
    generator = torch.Generator().manual_seed(2)
    basis, _ = torch.linalg.qr(torch.randn(3072, 20, generator=generator))
    whitening = Preprocessor(
        AFFINE.scale, AFFINE.shift, basis.contiguous(), torch.rand(20, generator=generator)
    )
    model = pixel_network(whitening, model="mlp", width=1)
    run = load_program(make_program(model, STANDARD.shape))
    assert torch.allclose(run(PIXELS), model(PIXELS), rtol=1e-5)
    assert not torch.allclose(run(PIXELS), pixel_network(model="mlp", width=1)(PIXELS))


@pytest.mark.slow
@pytest.mark.parametrize(
    "values", [*({"model": name} for name in MODELS), *({"activation": name} for name in ACTIVATIONS)]
)
def test_every_network_can_be_exported(values: dict[str, Any]) -> None:
    model = pixel_network(**values)
    run = load_program(make_program(model, STANDARD.shape))
    assert torch.allclose(run(PIXELS), model(PIXELS), rtol=1e-5, atol=1e-6)


class Branching(nn.Module):
    """torch.export follows the branch that its example of eight images takes."""

    def __init__(self, *, branches: bool) -> None:
        super().__init__()
        self.dense = nn.Linear(3072, 10)
        self.branches = branches

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.dense(images.flatten(1))
        return 2 * logits if self.branches and len(images) > 8 else logits


def test_users_program_that_fits_one_batch_only_is_left_out() -> None:
    plain, branching = (PixelNetwork(Branching(branches=each), AFFINE) for each in (False, True))
    content, reason = users_program(plain, STANDARD.shape, "nets:build")
    assert content is not None and reason == ""
    content, reason = users_program(branching, STANDARD.shape, "nets:build")
    assert content is None and "torch.export program of nets:build does not run on a batch of " in reason
