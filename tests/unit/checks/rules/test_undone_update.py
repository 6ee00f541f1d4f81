"""The share of a step that is kept, to findings; what loops do to weights is in test_audit."""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.rules.undone_update import _KEPT, undone_update
from tests.helpers.observed import LIMITS, NAN, audit, layer, one, seen, snapshot


def kept(*shares: float, ratio: float = 1e-3) -> Observations:
    audits = [audit(step, kept=share) for step, share in enumerate(shares)]
    return seen(audits=audits, snapshots=[snapshot(layer(update_ratio=ratio))])


def test_undone_update_the_median_decides() -> None:
    found = one(undone_update(kept(1.0, 0.0, 0.1), LIMITS), "warn", "no_update")
    assert found.value == 0.1 and found.threshold == _KEPT and found.message.startswith("90% of the change")
    assert undone_update(kept(1.0, 0.0, 0.3), LIMITS) == []
    assert undone_update(kept(NAN), LIMITS) == []
    assert undone_update(seen(snapshots=[]), LIMITS) == []


def test_undone_update_a_long_step_may_be_taken_back() -> None:
    assert undone_update(kept(0.0, 0.0, ratio=0.2), LIMITS) == []
