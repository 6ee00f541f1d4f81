"""Losses whose graph shows a mistake."""

from __future__ import annotations

import pytest

from hpo.checks.loss_facts import LossFacts, Normalization
from hpo.checks.rules.loss_graph import loss_graph
from tests.helpers.observed import LIMITS, one, seen

FLAWS = {
    "twice": (LossFacts(0, twice="sigmoid"), "softmax_twice", "remove_output_activation"),
    "no logarithm": (LossFacts(0, missing_log="probabilities"), "wrong_loss", "use_cross_entropy"),
    "axis": (LossFacts(0, wrong_axis=Normalization(0, (8, 3))), "wrong_loss", "use_cross_entropy"),
    "shapes": (LossFacts(0, broadcast=((8, 1), (8, 8))), "wrong_loss", "fix_shapes"),
}


@pytest.mark.parametrize("name", FLAWS)
def test_loss_graph_names_the_flaw_and_what_to_change(name: str) -> None:
    graph, cause, change = FLAWS[name]
    found = one(loss_graph(seen(loss_graphs=[graph, graph]), LIMITS), "warn", cause)
    assert found.remedy.change == {"code": change}


def test_loss_graph_only_some_steps_prove_nothing() -> None:
    for name in FLAWS:
        assert loss_graph(seen(loss_graphs=[FLAWS[name][0], LossFacts(1)]), LIMITS) == []
    assert loss_graph(seen(loss_graphs=[]), LIMITS) == []
    assert loss_graph(seen(loss_graphs=[LossFacts(0)]), LIMITS) == []
