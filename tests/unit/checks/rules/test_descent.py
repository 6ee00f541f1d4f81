"""Audited directions to findings; what optimizers do is in test_audit."""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.rules.descent import _UPHILL, descent
from tests.helpers.observed import LIMITS, NAN, audit, one, seen, setup


def stepped(*cosines: float, decay: float = 0.0, loss: float = 1.0) -> Observations:
    audits = [audit(step, descent=cosine, cosine=loss) for step, cosine in enumerate(cosines)]
    return seen(audits=audits, setup=setup(weight_decay=decay))


def test_descent_one_step_downhill_is_enough() -> None:
    assert descent(stepped(-0.9, 0.3), LIMITS) == []
    found = one(descent(stepped(-0.9, _UPHILL - 0.01, NAN), LIMITS), "warn", "wrong_loss")
    assert found.remedy.change == {"code": "fix_loss_sign"}
    assert descent(stepped(NAN), LIMITS) == []


def test_descent_uphill_on_a_loss_with_the_wrong_sign_is_downhill() -> None:
    assert descent(stepped(-0.9, loss=-1.0), LIMITS) == []


def test_descent_on_no_cross_entropy_keeps_its_sign() -> None:
    """The cosine of another loss with cross-entropy may be a little below 0."""
    assert descent(stepped(0.6, loss=-0.02), LIMITS) == []
    one(descent(stepped(-0.6, loss=-0.02), LIMITS), "warn", "wrong_loss")


def test_descent_across_the_gradient_is_weight_decay() -> None:
    one(descent(stepped(0.01, -0.02, decay=0.1), LIMITS), "note", "over_regularized")
    assert descent(stepped(0.01, -0.02, decay=0.01), LIMITS) == []
    assert descent(stepped(0.01, 0.3, decay=0.1), LIMITS) == []
