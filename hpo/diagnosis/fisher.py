"""Fisher's exact test, and the significance level when many splits of the same trials are tested."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from math import lgamma

import numpy as np


def fisher(hits: int, part: int, all_hits: int, total: int) -> float:
    """Return the one-sided p-value of Fisher's exact test.

    It is the probability that ``hits`` or more of ``part`` trials are hits, when they are drawn from
    ``total`` with ``all_hits`` hits (R. A. Fisher, Statistical Methods for Research Workers, 1934, section
    21.02).
    """
    return math.exp(log_fisher(hits, part, all_hits, total))


def log_fisher(hits: int, part: int, all_hits: int, total: int) -> float:
    """Return the logarithm of that p-value: with thousands of trials, many underflow to 0."""
    most = min(part, all_hits)
    terms = [
        _log_choose(all_hits, x) + _log_choose(total - all_hits, part - x)
        for x in range(max(hits, part + all_hits - total), most + 1)
    ]
    if not terms:
        return -math.inf
    largest = max(terms)
    whole = math.log(sum(math.exp(term - largest) for term in terms)) + largest
    return min(0.0, whole - _log_choose(total, part))


@lru_cache(maxsize=10_000)
def least_p(part: int, all_hits: int, total: int) -> float:
    """Return the smallest p-value that Fisher's test can give for a part: with as many hits as possible."""
    return fisher(min(part, all_hits), part, all_hits, total)


def level(least: Iterable[float], alpha: float) -> float:
    """Return the significance level of each of many tests, for a family-wise error rate of ``alpha``.

    Tests that could not reach it with any outcome are not counted (R. E. Tarone, A modified Bonferroni
    method for discrete data, Biometrics 46, 1990). ``least`` has each test's smallest possible p-value.
    """
    possible = np.sort(np.fromiter(least, float))
    for tests in range(1, len(possible) + 1):
        if np.searchsorted(possible, alpha / tests, side="right") <= tests:
            return alpha / tests
    return alpha


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
