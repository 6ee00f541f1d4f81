"""What may be recorded."""

from __future__ import annotations

import math

import pytest

from hpo.records import Outcome


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_complete_trial_has_a_finite_value(value: float | None) -> None:
    with pytest.raises(ValueError, match="finite value"):
        Outcome("complete", value=value)
    assert Outcome("pruned", value=value).state == "pruned"
