"""Masks that are flipped or transposed against their pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hpo.checks.data_facts import DataFacts
from hpo.checks.measure.geometry import TURNS, agreements
from hpo.checks.rules.turned_targets import turned_targets
from tests.helpers.observed import LIMITS, one, seen


def pictures() -> tuple[Tensor, Tensor]:
    masks = torch.zeros(20, 12, 12, dtype=torch.long)
    for row, place in enumerate(torch.randint(0, 8, (20, 2)).tolist()):
        masks[row, place[0] : place[0] + 3, place[1] : place[1] + 4] = 1
    return masks[:, None].float() + 0.2 * torch.randn(20, 1, 12, 12), masks


@pytest.mark.parametrize(
    ("turned", "name"),
    [
        (lambda masks: masks.flip(2), "mirrored"),
        (lambda masks: masks.flip(1), "upside down"),
        (lambda masks: masks.transpose(1, 2), "transposed"),
    ],
)
def test_turned_masks_are_reported(turned: object, name: str) -> None:
    inputs, masks = pictures()
    found = agreements(inputs, turned(masks))  # type: ignore[operator]
    assert found is not None
    assert TURNS[int(found.argmax())] == name
    observed = seen(data=DataFacts(agreements=tuple(found.tolist())))
    assert name in one(turned_targets(observed, LIMITS), "warn", "labels_do_not_match").message


def test_masks_as_they_are_pass() -> None:
    inputs, masks = pictures()
    found = agreements(inputs, masks)
    assert found is not None
    assert turned_targets(seen(data=DataFacts(agreements=tuple(found.tolist()))), LIMITS) == []


@pytest.mark.parametrize("shape", [(20,), (20, 3), (20, 6, 6), (20, 2, 12, 12)])
def test_other_targets_are_not_compared(shape: tuple[int, ...]) -> None:
    assert agreements(torch.randn(20, 1, 12, 12), torch.randn(shape)) is None
