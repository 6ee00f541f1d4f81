"""Loss functions as people write them, on outputs whose cross-entropy is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.measure.preflight import _probe_loss
from hpo.checks.rules.loss_function import first_step_loss, loss_function
from tests.helpers.observed import LIMITS, LN10, one, preflight, seen

Loss = Callable[[Tensor, Tensor], Tensor]
LABELS = torch.arange(64) % 10


def judged(loss: Loss) -> object:
    probe = _probe_loss(loss, LABELS, 10)
    return loss_function(seen(preflight=preflight(loss_probe=probe)), LIMITS)


@pytest.mark.parametrize(
    "loss",
    [
        F.cross_entropy,
        lambda x, y: F.nll_loss(x.log_softmax(1), y),
        lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1),
        lambda x, y: F.cross_entropy(x, y, weight=torch.linspace(0.5, 1.5, 10)),
        lambda x, y: F.cross_entropy(x, y, reduction="none"),
    ],
)
def test_loss_function_what_is_cross_entropy_passes(loss: Loss) -> None:
    one(judged(loss), "pass")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "cause", "code"),
    [
        (lambda x, y: -F.cross_entropy(x, y), "wrong_loss", "fix_loss_sign"),
        (lambda x, y: F.cross_entropy(x, y, reduction="sum"), "wrong_loss", "use_mean_reduction"),
        (lambda x, y: F.cross_entropy(x, y) / 64, "wrong_loss", "use_mean_reduction"),
        (F.nll_loss, "wrong_loss", "use_cross_entropy"),
        (lambda x, y: F.nll_loss(x.softmax(1), y), "wrong_loss", "use_cross_entropy"),
        (lambda x, y: F.cross_entropy(x.softmax(1), y), "softmax_twice", "remove_output_activation"),
        (lambda x, y: F.cross_entropy(x.sigmoid(), y), "softmax_twice", "remove_output_activation"),
        (lambda x, y: x.softmax(1).gather(1, y[:, None]).mean(), "wrong_loss", "fix_loss_sign"),
        (lambda x, y: F.cross_entropy(x.mean(0).expand_as(x), y), "wrong_loss", "use_cross_entropy"),
    ],
)
def test_loss_function_mistakes_are_named(loss: Loss, cause: str, code: str) -> None:
    found = one(judged(loss), "warn", cause)  # type: ignore[arg-type]
    assert found.remedy.change == {"code": code}


@pytest.mark.parametrize(("first", "severity"), [(-LN10, "warn"), (64 * LN10, "warn"), (0.04, "warn")])
def test_loss_function_first_loss_is_not_a_cross_entropy(first: float, severity: str) -> None:
    one(first_step_loss(seen(losses=np.array([first])), LIMITS), severity, "wrong_loss")


@pytest.mark.parametrize("first", [2.31, 1.5, 6.0])
def test_loss_function_a_first_loss_near_what_was_measured(first: float) -> None:
    assert first_step_loss(seen(losses=np.array([first])), LIMITS) == []
    assert first_step_loss(seen(losses=np.array([first]), preflight=None), LIMITS) == []
