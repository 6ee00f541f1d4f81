"""RandAugment and TrivialAugment: each operation is torchvision's; draws are each image's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.data.cifar10 import import_torchvision
from hpo.data.policies import RAND_AUGMENT, STEPS, TRIVIAL_AUGMENT, Operation, rand_augment, trivial_augment

NAMES = {"auto_contrast": "AutoContrast", "shear_x": "ShearX", "shear_y": "ShearY"} | {
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
}
TABLES = {"RandAugment": RAND_AUGMENT, "TrivialAugmentWide": TRIVIAL_AUGMENT}
OPERATIONS = [(theirs, name) for theirs, table in TABLES.items() for name in table]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Smooth images (6, 3, 32, 40) uint8; one of them has a single value."""
    noise = torch.randint(256, (6, 3, 8, 8), generator=seeded()).float()
    images = F.interpolate(noise, size=(32, 40), mode="bicubic").clamp(0, 255).round().to(torch.uint8)
    images[0] = 7
    return images


@pytest.fixture(scope="module")
def transforms() -> Any:
    import_torchvision()
    from torchvision.transforms import v2

    return v2


@pytest.mark.parametrize("theirs", TABLES)
def test_the_operations_are_those_of_torchvision(theirs: str, transforms: Any) -> None:
    space = getattr(transforms, theirs)._AUGMENTATION_SPACE
    ours = {NAMES.get(name, name.title()): each.signed for name, each in TABLES[theirs].items()}
    assert ours == {name: signed for name, (_, signed) in space.items()}


@pytest.mark.parametrize(("theirs", "name"), OPERATIONS)
def test_an_operation_does_what_torchvision_does(
    theirs: str, name: str, pictures: Tensor, transforms: Any
) -> None:
    operation, reference = TABLES[theirs][name], getattr(transforms, theirs)()
    their_name = NAMES.get(name, name.title())
    magnitudes = reference._AUGMENTATION_SPACE[their_name][0](STEPS, 32, 40)
    for step in (0, 9, 22, 30):
        for sign in (1, -1) if operation.signed else (1,):
            magnitude = 0.0 if magnitudes is None else sign * float(magnitudes[step])
            expected = reference._apply_image_or_video_transform(
                pictures, their_name, magnitude, interpolation=reference.interpolation, fill=reference._fill
            )
            mine = operation.magnitudes(torch.full((len(pictures),), step)) * sign
            difference = (operation.change(pictures.float(), mine) - expected.float()).abs()
            assert difference.max() <= 1 and (difference > 0).float().mean() < 0.03, (step, sign)


def test_each_image_draws_its_own_operation_sign_and_step(pictures: Tensor) -> None:
    batch = pictures[1:2].float().repeat(256, 1, 1, 1)
    distinct = len({image.numpy().tobytes() for image in trivial_augment(batch, seeded())})
    assert distinct > 100
    once, twice = (rand_augment(batch, n, 9, seeded()) for n in (1, 2))
    counts = [len({image.numpy().tobytes() for image in each}) for each in (once, twice)]
    assert 15 < counts[0] < 25 and counts[1] > 60  # 14 operations, nine of them with a sign


@pytest.mark.parametrize("channels", [1, 3])
def test_results_are_bytes_and_repeat(channels: int, pictures: Tensor) -> None:
    batch = pictures[:, :channels].float()
    before = batch.clone()
    for apply in (lambda g: rand_augment(batch, 2, 15, g), lambda g: trivial_augment(batch, g)):
        result = apply(seeded(3))
        assert torch.equal(result, apply(seeded(3)))
        assert torch.equal(result, result.floor()) and result.min() >= 0 and result.max() <= 255
    assert torch.equal(batch, before)


def test_magnitudes_span_the_steps() -> None:
    operation = Operation(lambda images, _: images, 1, 0)
    assert operation.magnitudes(torch.tensor([0, 15, 30])).tolist() == [1, 0.5, 0]
