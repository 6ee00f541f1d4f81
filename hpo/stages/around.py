"""Configurations drawn around the best ones of a stage. Pure: seed, slot, name and results → values.

Independent ranges lose what belongs together, such as a learning rate and its optimizer. Sampling around one
whole configuration keeps it. This is the density of the good configurations of a Parzen
estimator (J. Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011), with one kernel for
all hyperparameters together, as in BOHB (S. Falkner, A. Klein, F. Hutter, ICML 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from hpo.config.parsing.load import drawing_order
from hpo.config.space import Choice, Distribution
from hpo.config.study import StudySpec
from hpo.rng import Key
from hpo.search.samplers.pure import MAX_RESAMPLES, Values, fixed_values, signature, unused_point

REACH = 1 / 3
"""Standard deviation of a number's move, as a share of the stage's range on its scale."""
CHANGE = 0.1
"""Probability that a choice differs from that of the configuration it is drawn around."""
_NORMAL = NormalDist()


def draws_around(
    spec: StudySpec,
    best: Sequence[Mapping[str, Any]],
    slots: Iterable[int],
    planned: Sequence[Mapping[str, Any]],
) -> list[Values]:
    """Draw the configurations of a stage's slots, each unlike those before it and the ``planned`` ones.

    ``spec`` is the study with the stage's settings. Each draw is around one of ``best``, all equally likely.
    Once every point of a finite space is used, points repeat.
    """
    used = {signature(spec, each) for each in planned}
    found = []
    for slot in slots:
        values = _unused(spec, best, slot, used)
        used.add(signature(spec, values))
        found.append(values)
    return found


def _unused(spec: StudySpec, best: Sequence[Mapping[str, Any]], slot: int, used: set[Any]) -> Values:
    for attempt in range(1 + MAX_RESAMPLES):
        values = _around_one(spec, best, Key(spec.seed) / "around" / slot / attempt)
        if signature(spec, values) not in used:
            return values
    return unused_point(spec, slot, used) or values


def _around_one(spec: StudySpec, best: Sequence[Mapping[str, Any]], key: Key) -> Values:
    center = best[int((key / "centre").uniform() * len(best))]
    values, drawn = fixed_values(spec), {}
    for name in drawing_order(spec.space):
        distribution = spec.space[name]
        if distribution.active(values):
            values[name] = drawn[name] = _near(distribution, center.get(name, _ABSENT), key / "value" / name)
    return drawn


_ABSENT = object()


def _near(distribution: Distribution, center: Any, key: Key) -> Any:
    """A value near ``center``; any value if the configuration it is drawn around has none."""
    u = (key / "move").uniform()
    if center is _ABSENT:
        return distribution.draw(u)
    if not isinstance(distribution, Choice):
        return distribution.draw(_moved(distribution.quantile(center), u))
    others = [each for each in distribution.choice if each != center]
    stays = len(others) < len(distribution.choice) and (key / "change").uniform() >= CHANGE
    return center if stays or not others else others[int(u * len(others))]


def _moved(quantile: float, u: float) -> float:
    """The quantile ``u`` of a normal distribution around ``quantile``, cut off at 0 and 1."""
    low, high = (_NORMAL.cdf((end - quantile) / REACH) for end in (0.0, 1.0))
    moved = quantile + REACH * _NORMAL.inv_cdf(low + u * (high - low))
    return min(max(moved, 0.0), 1.0)
