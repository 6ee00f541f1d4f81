"""Configurations drawn around the best ones of a stage. Pure: seed, slot, name and results → values.

A range for each hyperparameter forgets what belongs together, such as a learning rate and its optimizer. A
draw around one whole configuration keeps it. This is the density of the good configurations of a Parzen
estimator (J. Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011), with one kernel for
all hyperparameters together, as in BOHB (S. Falkner, A. Klein, F. Hutter, ICML 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from hpo.config.fields import setting
from hpo.config.parsing.load import drawing_order
from hpo.config.space import Choice, Distribution
from hpo.config.study import StudySpec
from hpo.rng import Key
from hpo.search.samplers.pure import MOST_REDRAWS, Values, fixed_values, signature, unused_point
from hpo.stages.refine import SpaceDecision

REACH = 1 / 3
"""Standard deviation of a number's move, as a share of the stage's range on its scale; it stays within it."""
CHANGE = 0.1
"""How often a choice is another than that of the configuration that is drawn around."""
_NORMAL = NormalDist()


def draws_around(
    spec: StudySpec,
    best: Sequence[Mapping[str, Any]],
    slots: Iterable[int],
    planned: Sequence[Mapping[str, Any]],
) -> list[Values]:
    """What each slot of a stage gets, each unlike those before it and those that are ``planned``.

    ``spec`` is the study as the stage has it; ``best`` are the configurations that are drawn around, each as
    likely. Where every point of a finite space is taken, points come again.
    """
    taken = {signature(spec, each) for each in planned}
    found = []
    for slot in slots:
        values = _untaken(spec, best, slot, taken)
        taken.add(signature(spec, values))
        found.append(values)
    return found


def _untaken(spec: StudySpec, best: Sequence[Mapping[str, Any]], slot: int, taken: set[Any]) -> Values:
    for again in range(1 + MOST_REDRAWS):
        values = _around_one(spec, best, Key(spec.seed) / "around" / slot / again)
        if signature(spec, values) not in taken:
            return values
    return unused_point(spec, slot, taken) or values


def _around_one(spec: StudySpec, best: Sequence[Mapping[str, Any]], key: Key) -> Values:
    centre = best[int((key / "centre").uniform() * len(best))]
    values, drawn = fixed_values(spec), {}
    for name in drawing_order(spec.space):
        distribution = spec.space[name]
        if distribution.active(values):
            values[name] = drawn[name] = _near(distribution, centre.get(name), key / "value" / name)
    return drawn


def _near(distribution: Distribution, centre: Any, key: Key) -> Any:
    """A value near ``centre``; any at all if the configuration that is drawn around has none."""
    u = (key / "move").uniform()
    if centre is None:
        return distribution.draw(u)
    if not isinstance(distribution, Choice):
        return distribution.draw(_moved(distribution.quantile(centre), u))
    others = [each for each in distribution.choice if each != centre]
    stays = len(others) < len(distribution.choice) and (key / "change").uniform() >= CHANGE
    return centre if stays or not others else others[int(u * len(others))]


def _moved(quantile: float, u: float) -> float:
    """The quantile ``u`` of a normal distribution around ``quantile``, cut off at 0 and 1."""
    low, high = (_NORMAL.cdf((end - quantile) / REACH) for end in (0.0, 1.0))
    moved = quantile + REACH * _NORMAL.inv_cdf(low + u * (high - low))
    return min(max(moved, 0.0), 1.0)


Trained = tuple[int, str, float]
"""A trial's number, its stage and its value."""


def drawn_around(trials: Sequence[int], of: int, before: str) -> SpaceDecision:
    """What is drawn around, in words; ``trials`` are the numbers of the best of ``of`` trials."""
    numbers = ", ".join(map(str, trials))
    message = (
        f"drawn around the best {len(trials)} of {of} trials of {before}: numbers move on their scale by "
        f"a third of their range or so, choices change in one of {round(1 / CHANGE)} draws (trials {numbers})"
    )
    return SpaceDecision("", "around", message, {"trials": list(trials), "of": of, "stage": before})


def carried(best: Sequence[Trained]) -> SpaceDecision:
    """Which configurations are trained again, in words."""
    those = ", ".join(f"trial {number} of {stage} ({setting(value)})" for number, stage, value in best)
    which = f"best {len(best)}" if len(best) > 1 else "best"
    message = f"begins with the {which} so far, trained with this stage's epochs and images: {those}"
    return SpaceDecision("", "carry", message, {"trials": [number for number, _, _ in best]})
