"""Fisher's exact test, and how small a p-value must be when many splits of the same trials are tried."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from math import lgamma

import numpy as np


def fisher(hits: int, part: int, all_hits: int, total: int) -> float:
    """The one-sided p-value of Fisher's exact test.

    The probability that ``hits`` or more of ``part`` trials are hits, when they are drawn from ``total`` with
    ``all_hits`` hits (R. A. Fisher, Statistical Methods for Research Workers, 1934, section 21.02).
    """
    return math.exp(log_fisher(hits, part, all_hits, total))


def log_fisher(hits: int, part: int, all_hits: int, total: int) -> float:
    """The logarithm of that p-value: among thousands of trials, many are 0 as a float."""
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
    """The smallest p-value that Fisher's test can give for a part: as many hits as there can be."""
    return fisher(min(part, all_hits), part, all_hits, total)


def level(least: Iterable[float], alpha: float) -> float:
    """The largest p-value that counts in each of many tests, for a chance of ``alpha`` over all of them.

    Tests that could not reach it, whatever the outcome, are not counted (R. E. Tarone, A modified Bonferroni
    method for discrete data, Biometrics 46, 1990). ``least`` has each test's smallest possible p-value.
    """
    possible = np.sort(np.fromiter(least, float))
    for tests in range(1, len(possible) + 1):
        if np.searchsorted(possible, alpha / tests, side="right") <= tests:
            return alpha / tests
    return alpha


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
