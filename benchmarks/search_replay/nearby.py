"""Draws around the best configurations, answered by recorded ones.

The recorded configurations are draws from the whole space. Taken one after the other with odds in proportion
to the density of `hpo.stages.around` at each, they are draws from that density, as far as the table reaches.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from hpo.config.space import Choice, Distribution
from hpo.stages.around import CHANGE, REACH

_NORMAL = NormalDist()


def in_order(
    candidates: Sequence[Mapping[str, Any]],
    best: Sequence[Mapping[str, Any]],
    space: Mapping[str, Distribution],
    seed: int,
) -> list[int]:
    """Return the candidates' positions in the order in which they are drawn around ``best``."""
    generator = random.Random(seed)
    # Of independent exponential times each is the first with odds in proportion to its rate.
    times = [generator.expovariate(1.0) / (density(each, best, space) + 1e-300) for each in candidates]
    return sorted(range(len(candidates)), key=times.__getitem__)


def density(
    values: Mapping[str, Any], best: Sequence[Mapping[str, Any]], space: Mapping[str, Distribution]
) -> float:
    """Return how much more likely a draw around ``best`` is there than one from the whole ``space``."""
    return math.fsum(
        math.prod(
            _factor(distribution, values[name], center.get(name))
            for name, distribution in space.items()
            if values.get(name) is not None
        )
        for center in best
    ) / len(best)


def _factor(distribution: Distribution, value: Any, center: Any) -> float:
    if center is None:
        return 1.0
    if isinstance(distribution, Choice):
        count = len(distribution.choice)
        others = count - (center in distribution.choice)
        if others == count:
            return 1.0
        share = 1 - CHANGE if value == center else CHANGE / others
        return share * count if others else 1.0
    at, around = distribution.quantile(value), distribution.quantile(center)
    low, high = (_NORMAL.cdf((end - around) / REACH) for end in (0.0, 1.0))
    return _NORMAL.pdf((at - around) / REACH) / REACH / (high - low)
