"""Losses that stay where they began."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hpo.checks.loss_facts import LossFacts, LossTerm, Normalization
from hpo.checks.observations import Observations
from hpo.checks.rules.flat_loss import flat_loss
from hpo.checks.updates import Updates
from tests.helpers.observed import LIMITS, one, seen, setup

FLAT = np.full(200, 1.0) + 0.01 * np.cos(np.arange(200))


def observed(losses: np.ndarray = FLAT, kind: str = "relu", moved: float = 0.3, **more: Any) -> Observations:
    stated = {"task": None, "classes": 0, **more}
    graph = LossFacts(0, (LossTerm(kind, 1, False),), normalizations=(Normalization(1, (60, 60)),))
    return seen(
        losses=losses, loss_graphs=[graph], setup=setup(**stated), updates=Updates(moved=moved), audits=[]
    )


def test_flat_loss_weights_moved_and_the_loss_did_not() -> None:
    one(flat_loss(observed(), LIMITS), "warn", "not_learning")
    assert flat_loss(observed(moved=0.05), LIMITS) == []
    assert flat_loss(observed(FLAT[:99]), LIMITS) == []
    assert flat_loss(observed(np.linspace(1, 0.9, 200)), LIMITS) == []
    assert flat_loss(observed(np.concatenate([FLAT, 2 * FLAT])), LIMITS) == []
    assert flat_loss(observed(-FLAT), LIMITS) == []


@pytest.mark.parametrize("more", [{"task": "reinforcement"}, {"task": "generative"}, {"optimizers": 2}])
def test_flat_loss_games_need_not_lower_it(more: dict[str, Any]) -> None:
    assert flat_loss(observed(**more), LIMITS) == []
    assert flat_loss(observed(kind="linear"), LIMITS) == []


def test_flat_loss_at_that_of_equal_shares_doubts_the_targets() -> None:
    found = one(flat_loss(observed(math.log(60) * FLAT, "nll"), LIMITS), "warn", "labels_do_not_match")
    assert found.remedy.change == {"code": "fix_labels"}
    one(flat_loss(observed(2 * FLAT, "nll"), LIMITS), "warn", "not_learning")
