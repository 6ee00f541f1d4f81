"""Padding that counts, and sequences that end alike for a reason."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.measure.loss_kind import tail_share
from hpo.checks.rules.padding import padding
from tests.helpers.observed import LIMITS, audit, one, seen


def test_padding_most_of_the_loss_is_about_it() -> None:
    mostly = audit(tail=0.8, kind="cross_entropy")
    found = one(padding(seen(audits=[mostly, mostly]), LIMITS), "warn", "wrong_loss")
    assert found.remedy.change == {"code": "ignore_padding"} and "80%" in found.message
    little, unknown = audit(tail=0.2, kind="cross_entropy"), audit(kind="cross_entropy")
    for audits in ([mostly, little], [unknown], [audit(tail=0.8, kind="mse")], []):
        assert padding(seen(audits=audits), LIMITS) == []


def _tail(labels: Tensor, ignored: int = -100, *, classes_first: bool = False) -> float:
    torch.manual_seed(0)
    output = torch.randn(*labels.shape, 9, requires_grad=True)
    F.cross_entropy(output.transpose(1, 2), labels, ignore_index=ignored).backward()
    assert output.grad is not None
    pair = [output.detach(), output.grad]
    return float(tail_share(*(each.transpose(1, 2) for each in pair) if classes_first else pair))


@pytest.mark.parametrize("classes_first", [True, False])
def test_tail_share_of_padding_counts_only_what_has_a_gradient(classes_first: bool) -> None:
    labels = torch.randint(1, 9, (16, 12))
    labels[:, 4:] = 0
    assert _tail(labels, classes_first=classes_first) == pytest.approx(8 / 12)
    assert _tail(labels, 0, classes_first=classes_first) < 0.1


def test_tail_share_is_0_where_the_class_is_no_padding() -> None:
    rare = torch.zeros(16, 12, dtype=torch.long)
    rare[torch.rand(16, 12) < 0.3] = 3  # most words have no tag
    assert _tail(rare) == 0
    full = torch.randint(9, (16, 12))
    assert _tail(full) == 0
    full[:, -1] = 8  # an end for all
    assert _tail(full) < 0.2
