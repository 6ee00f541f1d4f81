"""What running statistics cost against the batch's own."""

from __future__ import annotations

import pytest

from hpo.checks.observations import ModeGap, Observations
from hpo.checks.rules.norm_statistics import norm_statistics
from tests.helpers.observed import LIMITS, NAN, one, seen, setup

GAP = LIMITS.mode_gap


def costing(*gaps: float) -> Observations:
    """Looks at 100, 200 ... steps; with its own statistics the batch costs 0.5."""
    return seen(modes=[ModeGap(100 * number, 0.5, 0.5 + gap) for number, gap in enumerate(gaps, 1)])


@pytest.mark.parametrize("gaps", [(GAP, GAP), (5.0, 0.1), (0.1, 5.0), (5.0, 5.0, 0.1), (-5.0, -5.0)])
def test_norm_statistics_inside_in_one_of_the_last_two_is_quiet(gaps: tuple[float, ...]) -> None:
    assert norm_statistics(costing(*gaps), LIMITS) == []


def test_norm_statistics_beyond_it_twice_in_a_row_it_speaks() -> None:
    found = one(norm_statistics(costing(0.0, 2 * GAP, GAP + 0.01), LIMITS), "warn", "norm_statistics")
    assert found.value == pytest.approx(GAP + 0.01) and found.threshold == GAP
    assert "1.51 with running" in found.message and "0.50 with batch statistics" in found.message
    assert found.step == 300 and found.remedy.change == {"code": "fix_norm_momentum"}


@pytest.mark.parametrize("gaps", [(), (5.0,), (5.0, NAN), (NAN, 5.0)])
def test_norm_statistics_unknown_or_few_looks_report_nothing(gaps: tuple[float, ...]) -> None:
    assert norm_statistics(costing(*gaps), LIMITS) == []


def test_norm_statistics_statistics_that_never_move_need_no_look() -> None:
    found = one(norm_statistics(seen(setup=setup(frozen_norms=("norm1", "norm2"))), LIMITS), "warn")
    assert found.cause == "norm_statistics" and "norm1 never change" in found.message
