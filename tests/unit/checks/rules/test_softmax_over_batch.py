"""A softmax along the wrong axis of a batch, and softmax along axis 0 that is meant."""

from __future__ import annotations

import pytest

from hpo.checks.loss_facts import LossFacts, Normalization
from hpo.checks.rules.softmax_over_batch import softmax_over_batch
from tests.helpers.observed import LIMITS, audit, one, seen

GRAPH = LossFacts(0, normalizations=(Normalization(1, (32, 10)), Normalization(0, (32, 10))))


def test_softmax_over_batch_runs_along_the_examples() -> None:
    step = audit(input=(32, 3, 8, 8), output=(32, 2))
    one(softmax_over_batch(seen(audits=[step], loss_graphs=[GRAPH]), LIMITS), "warn", "softmax_twice")


@pytest.mark.parametrize(
    ("shape", "given", "made"),
    [
        ((32, 32), (32, 8), (32, 16)),  # similarities
        ((32, 1), (32, 8), (32, 2)),  # attention over instances
        ((12, 32), (12, 32), (12, 32, 50)),  # over the places of sequences that come first
        ((32, 10), (32, 8), (1, 2)),  # a bag is the example
        ((10, 32), (32, 8), (32, 2)),
        ((32, 10), (), (32, 2)),
    ],
)
def test_softmax_over_batch_another_axis_0_is_left_alone(
    shape: tuple[int, ...], given: tuple[int, ...], made: tuple[int, ...]
) -> None:
    graph = LossFacts(0, normalizations=(Normalization(0, shape),))
    step = audit(input=given, output=made)
    assert softmax_over_batch(seen(audits=[step], loss_graphs=[graph]), LIMITS) == []
    assert softmax_over_batch(seen(audits=[], loss_graphs=[graph]), LIMITS) == []
