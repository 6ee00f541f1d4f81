"""Derive the space of the next stage from the results of a stage. Pure: results → space and decisions.

CS231n lecture 6, "coarse to fine": keep the region of the best trials, extend it where they lie at a border.
The rules and their numbers are in docs/search.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hpo.config.fields import HYPERPARAMETERS, setting, yaml_text
from hpo.config.parsing.consistency import Draft, contradictions
from hpo.config.parsing.space import distribution_text
from hpo.config.space import Choice, Distribution, Integer, Log, Uniform
from hpo.config.study import StudySpec
from hpo.diagnosis.border import edge
from hpo.diagnosis.changes import beyond
from hpo.diagnosis.fisher import fisher
from hpo.text import counted

FEWEST_BEST = 3
"""Minimum number of best trials that a range is made from: two points give no margin."""
SELECTION = 2
"""Minimum number of trials with a hyperparameter per best one: otherwise the best are most of all trials."""
LEAST_WIDTH = 0.2
"""Smallest share of a range, on its own scale, that one stage narrows it to. Three random points lie within a
tenth of the range in 3 % of all cases."""
UNLIKELY = 0.05
"""Largest probability of results as bad as a choice's, if it were like the others, at which it is dropped."""


@dataclass(frozen=True)
class StageTrial:
    """A finished trial of a stage; ``values`` are its searched hyperparameters that had an effect."""

    slot: int
    score: float | None
    """Of its best epoch if it is complete or the pruner ended it, higher is better; None otherwise."""
    failed: bool
    """Whether it ended with an error, was stopped by a check, or finished at chance level."""
    values: Mapping[str, Any]
    stopped_at: int | None = None
    """The epoch at which the pruner stopped it; None if it did not."""

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key: complete trials first, then pruned ones by epoch, the latest first.

        Within these the better score, then the lower slot, which does not depend on which worker was faster.
        """
        return self.stopped_at is not None, -(self.stopped_at or 0), -(self.score or 0.0), self.slot


RankedTrial: TypeAlias = tuple[int, str, float]
"""A trial's number, its stage and its value."""
Range: TypeAlias = Log | Uniform | Integer
Action = Literal["keep", "narrow", "widen", "move", "drop", "fix", "leave_out", "end", "around", "carry"]


@dataclass(frozen=True)
class SpaceDecision:
    """A decision about a hyperparameter, or a trial, of the next stage; ``evidence`` has its numbers."""

    subject: str
    action: Action
    message: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Refined:
    """The next space, the values fixed by it, and why. If both are empty, no trial learned."""

    space: dict[str, Distribution]
    fixed: dict[str, Any]
    decisions: tuple[SpaceDecision, ...]
    best: tuple[StageTrial, ...] = ()
    """The trials that it is derived from, best first."""


def refine(spec: StudySpec, trials: Sequence[StageTrial], keep: float) -> Refined:
    """Return the space of the stage after ``spec``'s, from the best share ``keep`` of its trials."""
    results = _Results.of(trials, keep)
    if not results.ranked:
        return Refined({}, {}, (_nothing_learned(len(trials), spec.tradeoffs.within),))
    space: dict[str, Distribution] = {}
    fixed: dict[str, Any] = {}
    decisions = []
    for name, distribution in spec.space.items():
        refined: Distribution
        if isinstance(distribution, Choice):
            refined, decision = _refine_choice(name, distribution, results)
        else:
            refined, decision = _refine_range(spec, name, distribution, results)
        decisions.append(decision)
        if decision.action == "fix":
            fixed[name] = decision.evidence["left"][0]
        else:
            space[name] = refined
    for name in _never_drawn(space, {**spec.hyperparameters.defaults, **spec.fixed, **fixed}):
        del space[name]
        message = f"{name}: left out, since it is drawn only with choices that were dropped"
        decisions.append(SpaceDecision(name, "leave_out", message, {}))
    return Refined(space, fixed, tuple(decisions), tuple(results.best))


def same_space(spec: StudySpec) -> Refined:
    """Return the study's whole space again."""
    decision = SpaceDecision("", "keep", "the whole space is searched, as the study file asks", {})
    return Refined(dict(spec.space), {}, (decision,))


@dataclass(frozen=True)
class _Results:
    trials: Sequence[StageTrial]
    ranked: list[StageTrial]
    """Those that did not fail, best first."""
    best: list[StageTrial]

    @staticmethod
    def of(trials: Sequence[StageTrial], keep: float) -> _Results:
        learned = [each for each in trials if each.score is not None and not each.failed]
        ranked = sorted(learned, key=lambda each: each.order)
        return _Results(trials, ranked, ranked[: max(FEWEST_BEST, math.ceil(keep * len(trials)))])

    @property
    def better_half(self) -> list[StageTrial]:
        return self.ranked[: len(self.trials) // 2]


def _nothing_learned(count: int, within: str) -> SpaceDecision:
    message = (
        f"none of {counted(count, 'trial')} learned{within}, so nothing is left of the space: the study "
        "ends here. Search other "
        "ranges or choices in a study with another name; `hpo query failure-causes` shows what went wrong"
    )
    return SpaceDecision("", "end", message, {"trials": count, "learned": 0})


def _refine_choice(name: str, distribution: Choice, results: _Results) -> tuple[Choice, SpaceDecision]:
    having = [each for each in results.trials if name in each.values]
    reasons = {
        value: reason
        for value in distribution.choice
        if (reason := _why_drop(name, value, having, results)) is not None
    }
    left = [value for value in distribution.choice if value not in reasons]
    evidence = {"dropped": list(reasons), "left": left, "trials": len(having)}
    if not reasons:
        message = f"{name}: all {counted(len(left), 'choice')} kept, none was clearly worse than the others"
        return distribution, SpaceDecision(name, "keep", message, evidence)
    dropped = "; ".join(f"{yaml_text(value)} dropped, {reason}" for value, reason in reasons.items())
    refined = distribution.model_copy(update={"choice": left})
    if len(left) == 1:
        message = f"{name}: fixed at {yaml_text(left[0])}: {dropped}"
        return refined, SpaceDecision(name, "fix", message, evidence)
    return refined, SpaceDecision(name, "drop", f"{name}: {dropped}", evidence)


def _why_drop(name: str, value: Any, having: Sequence[StageTrial], results: _Results) -> str | None:
    """Return why a choice deserves no more trials; ``None`` if it may.

    The test is the hypergeometric probability that none of its trials would learn, or rank in the better
    half, if it were like the others, as in Fisher's exact test.
    """
    mine = [each for each in having if each.values[name] == value]
    others = len(having) - len(mine)
    for what, hits in (
        ("learned", [each for each in having if not each.failed]),
        ("ranked in the better half", [each for each in results.better_half if name in each.values]),
    ):
        mine_hit = sum(each.values[name] == value for each in hits)
        misses = len(having) - len(hits)
        if not mine or mine_hit or len(mine) > misses:
            continue
        if fisher(len(mine), len(mine), misses, len(having)) <= UNLIKELY:
            return f"0 of {counted(len(mine), 'trial')} {what} ({len(hits)} of {others} with other choices)"
    return None


def _refine_range(
    spec: StudySpec, name: str, distribution: Range, results: _Results
) -> tuple[Distribution, SpaceDecision]:
    having = [each for each in results.trials if name in each.values]
    best = [each.values[name] for each in results.best if name in each.values]
    evidence: dict[str, Any] = {"trials": len(having), "best": len(best), "range": list(distribution.bounds)}
    thin = _too_thin(len(best), len(having))
    if thin:
        message = f"{name}: kept, {distribution_text(distribution)}: {thin}"
        return distribution, SpaceDecision(name, "keep", message, evidence)
    scale = _Scale.of(distribution)
    low, high = scale.around(best)
    new_low, new_high = scale.inside(low, high)
    sides = []
    for upwards in (False, True):
        if _at_border(distribution, best, upwards):
            bound = _extended_bound(spec, name, upwards)
            if bound != distribution.bounds[upwards]:
                sides.append("upper" if upwards else "lower")
                new_low, new_high = (new_low, bound) if upwards else (bound, new_high)
    refined = _with_bounds(distribution, new_low, new_high)
    evidence |= {
        "best_low": min(best), "best_high": max(best), "new_range": list(refined.bounds), "widened": sides,
    }  # fmt: skip
    return refined, _range_decision(name, distribution, refined, best, sides, evidence)


def _too_thin(best: int, having: int) -> str:
    if best < FEWEST_BEST:
        return f"only {best} of the best trials have it, too few to derive a range"
    if having < SELECTION * best:
        return (
            f"the best {best} are most of the {counted(having, 'trial')} that have it, which "
            "says little about its range"
        )
    return ""


def _at_border(distribution: Distribution, best: Sequence[float], upwards: bool) -> bool:
    """Whether the best trial and half of the best lie in the outer tenth of the range at this end."""
    border = edge(distribution, upwards)
    outer = [value >= border if upwards else value <= border for value in best]
    return outer[0] and 2 * sum(outer) >= len(outer)


def _extended_bound(spec: StudySpec, name: str, upwards: bool) -> float:
    """The new bound of a range that is widened; the old one if the study cannot have values beyond it.

    What lies beyond a range of the user's own training may be invalid: only its author knows.
    """
    distribution = spec.space[name]
    assert not isinstance(distribution, Choice)
    if spec.is_own:
        return distribution.bounds[upwards]
    low, high = distribution.bounds
    extended = beyond(distribution, HYPERPARAMETERS[name].limits, upwards)
    wider = _with_bounds(distribution, *((low, extended) if upwards else (extended, high)))
    draft = Draft(fixed=dict(spec.fixed), space={**spec.space, name: wider})
    return distribution.bounds[upwards] if contradictions(draft) else extended


@dataclass(frozen=True)
class _Scale:
    """A range on the scale that it is sampled on: a log range in its exponent."""

    low: float
    high: float
    is_log: bool

    @staticmethod
    def of(distribution: Distribution) -> _Scale:
        assert not isinstance(distribution, Choice)
        low, high = distribution.bounds
        is_log = isinstance(distribution, Log)
        return _Scale(math.log(low), math.log(high), True) if is_log else _Scale(low, high, False)

    def around(self, best: Sequence[float]) -> tuple[float, float]:
        """The range of the best values plus a margin, at least LEAST_WIDTH of the old range wide.

        k points drawn uniformly from an interval span (k - 1) / (k + 1) of it on average: adding
        span / (k - 1) at either end estimates its ends without bias. So fewer points get a wider margin.
        """
        places = [math.log(value) if self.is_log else value for value in best]
        low, high = min(places), max(places)
        margin = (high - low) / (len(places) - 1)
        missing = max(0.0, LEAST_WIDTH * (self.high - self.low) - (high - low + 2 * margin)) / 2
        return low - margin - missing, high + margin + missing

    def inside(self, low: float, high: float) -> tuple[float, float]:
        """The part within the old range, as values."""
        low, high = max(low, self.low), min(high, self.high)
        return (math.exp(low), math.exp(high)) if self.is_log else (low, high)


def _with_bounds(distribution: Range, low: float, high: float) -> Range:
    """The same kind of range with these bounds, rounded but never beyond old bounds that they lay within."""
    old_low, old_high = distribution.bounds
    if isinstance(distribution, Integer):
        ends = (math.floor(low + 1e-9), math.ceil(high - 1e-9))
        return distribution.model_copy(update={"int_": ends})
    rounded = [
        old if math.isclose(new, old) else float(f"{new:.3g}")
        for new, old in ((low, old_low), (high, old_high))
    ]
    low, high = max(rounded[0], min(low, old_low)), min(rounded[1], max(high, old_high))
    kind = "log" if isinstance(distribution, Log) else "uniform"
    return distribution.model_copy(update={kind: (low, high)})


def _range_decision(
    name: str,
    before: Distribution,
    after: Distribution,
    best: Sequence[float],
    sides: Sequence[str],
    evidence: Mapping[str, Any],
) -> SpaceDecision:
    span = f"between {setting(min(best))} and {setting(max(best))}"
    where = f"the best {len(best)} of {counted(evidence['trials'], 'trial')} lie {span}"
    if before == after:
        return SpaceDecision(name, "keep", f"{name}: kept, {distribution_text(before)}: {where}", evidence)
    assert not isinstance(before, Choice) and not isinstance(after, Choice)
    (old_low, old_high), (new_low, new_high) = before.bounds, after.bounds
    is_cut = new_low > old_low or new_high < old_high
    action: Action = "narrow" if not sides else "move" if is_cut else "widen"
    verb = {"narrow": "narrowed", "move": "moved", "widen": "widened"}[action]
    border = f", at the {' and the '.join(sides)} end: better values may lie beyond" if sides else ""
    change = f"{name}: {verb} from {distribution_text(before)} to {distribution_text(after)}"
    return SpaceDecision(name, action, f"{change}: {where}{border}", evidence)


def _never_drawn(space: Mapping[str, Distribution], constants: Mapping[str, Any]) -> list[str]:
    """Names whose ``when`` can no longer hold, and those that depend on them."""
    gone: list[str] = []
    while fresh := [
        name
        for name, distribution in space.items()
        if name not in gone
        and not all(_can_be(space, gone, constants, *each) for each in distribution.when.items())
    ]:
        gone += fresh
    return gone


def _can_be(
    space: Mapping[str, Distribution],
    gone: Sequence[str],
    constants: Mapping[str, Any],
    name: str,
    wanted: Any,
) -> bool:
    values = wanted if isinstance(wanted, list) else [wanted]
    if name in space and name not in gone:
        return any(space[name].can_be(value) for value in values)
    return name in constants and constants[name] in values
