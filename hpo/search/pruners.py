"""When a trial is pruned because others are ahead: pure functions of its rank among comparable trials.

Trials are compared at **rungs**: certain epochs, among trials of one study, stage and bracket that have the
same number of epochs to train. A trial's score at a rung is that of its best epoch so far: its result if
it ended there. Of equal scores, that of the older trial ranks higher.

Sources: asynchronous successive halving, Li et al., A system for massively parallel hyperparameter tuning
(MLSys 2020), algorithm 2; Hyperband, Li et al., JMLR 18 (2018); the median rule, Golovin et al., Google
Vizier (KDD 2017), section 3.2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeGuard, TypeVar

from hpo.config.methods import Asha, Hyperband, Median, Rules
from hpo.records import Decision, RungRank

Place = TypeVar("Place", bound=RungRank)


def bracket_of(pruner: Rules, epochs: int, slot: int) -> int:
    """Return the bracket of a slot's trial: 0 except for hyperband; later brackets start at later rungs."""
    if not isinstance(pruner, Hyperband):
        return 0
    order = _bracket_order(pruner.reduction, len(_halving_rungs(pruner, epochs)))
    return order[slot % len(order)]


def rungs(pruner: Rules, epochs: int, bracket: int = 0) -> tuple[int, ...]:
    """Return the epochs after which trials of ``epochs`` epochs are compared; never the last."""
    if isinstance(pruner, Median):
        return tuple(range(pruner.warmup_epochs + 1, epochs))
    return _halving_rungs(pruner, epochs)[bracket:]


def judge(pruner: Rules, at: RungRank) -> Decision:
    """Decide whether a trial at a rung continues, pauses or stops."""
    place = _place(at)
    if isinstance(pruner, Median):
        if at.of < pruner.min_trials or 2 * at.rank <= at.of + 1:
            return Decision("goes_on", f"{place}: not below the median")
        return Decision("stopped", f"{place}: below the median")
    share = _share(pruner.reduction)
    if pruner.promote:
        ahead = at.rank <= at.of // pruner.reduction
        return Decision("goes_on" if ahead else "paused", f"{place}: {_among(ahead)} the best {share}")
    # The first trial at a rung continues: there is nothing to compare it with.
    ahead = at.rank <= max(1, at.of // pruner.reduction)
    return Decision("goes_on" if ahead else "stopped", f"{place}: {_among(ahead)} the best {share}")


def can_pause(pruner: Rules | None) -> TypeGuard[Asha]:
    """Return whether the pruner pauses trials instead of stopping them."""
    return isinstance(pruner, Asha) and pruner.promote


def promotable(pruner: Asha, paused: Sequence[Place], closing: bool) -> Place | None:
    """Return the paused trial to resume: the most advanced of the best of each rung, or ``None``.

    ``closing``: no trial runs and none is to come. Then the best of a rung is resumed even if so few reached
    it that the best share is less than one trial. Otherwise a small study would end without a complete trial.
    """
    fewest = 1 if closing else 0
    able = [each for each in paused if each.rank <= max(fewest, each.of // pruner.reduction)]
    return max(able, key=lambda each: each.epoch, default=None)


def promoted(pruner: Asha, at: RungRank) -> Decision:
    """Return the decision to resume a paused trial."""
    ahead = at.rank <= at.of // pruner.reduction
    why = f"among the best {_share(pruner.reduction)}" if ahead else "the best of the few that reached it"
    return Decision("goes_on", f"{_place(at)}: {why} now")


def stopped_at_the_end(pruner: Asha, at: RungRank) -> Decision:
    """Return the decision on a trial that is still paused when the study ends."""
    return Decision("stopped", f"{_place(at)}: not among the best {_share(pruner.reduction)}")


def _halving_rungs(pruner: Asha, epochs: int) -> tuple[int, ...]:
    found, epoch = [], pruner.min_epochs
    while epoch < epochs:
        found.append(epoch)
        epoch *= pruner.reduction
    return tuple(found)


@lru_cache(maxsize=64)
def _bracket_order(reduction: int, most_rungs: int) -> tuple[int, ...]:
    """Return the brackets of consecutive slots, one per trial of a hyperband round, evenly mixed.

    With s rungs, bracket b of hyperband's s + 1 has ceil((s + 1) / (s - b + 1) * reduction^(s - b)) trials,
    so that all brackets cost about the same; the last trains without pruning.
    """
    sizes = [
        -(-(most_rungs + 1) * reduction ** (most_rungs - b) // (most_rungs - b + 1))
        for b in range(most_rungs + 1)
    ]
    places = [((turn + 0.5) / size, b) for b, size in enumerate(sizes) for turn in range(size)]
    return tuple(b for _, b in sorted(places))


def _place(at: RungRank) -> str:
    return f"rank {at.rank} of {at.of} at epoch {at.epoch}"


def _among(ahead: bool) -> str:
    return "among" if ahead else "not among"


def _share(reduction: int) -> str:
    return {2: "half", 3: "third", 4: "quarter"}.get(reduction, f"1 in {reduction}")
