from __future__ import annotations

import pytest
from scipy.stats import binomtest

from hpo.diagnosis.wilson import wilson_interval


@pytest.mark.parametrize(("hits", "count"), [(0, 20), (1, 3), (5, 10), (431, 500), (5000, 5000)])
def test_wilson_interval_agrees_with_scipy(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits / count, count) == pytest.approx((expected.low, expected.high), abs=1e-12)
