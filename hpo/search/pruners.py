"""When a trial ends early because others are ahead: pure functions of where it stands among those like it.

Trials are compared at **rungs**: certain epochs, among trials of one study, stage and bracket that have the
same number of epochs to train. A trial's score at a rung is its best validation accuracy up to that epoch:
what its result would be if it ended there. Of equal scores the older trial's counts as higher.

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
    """The bracket of a slot's trial: 0 but for hyperband; a later bracket begins at a later rung."""
    if not isinstance(pruner, Hyperband):
        return 0
    order = _bracket_order(pruner.reduction, len(_halving_rungs(pruner, epochs)))
    return order[slot % len(order)]


def rungs(pruner: Rules, epochs: int, bracket: int = 0) -> tuple[int, ...]:
    """The epochs after which trials of ``epochs`` epochs are compared; never the last."""
    if isinstance(pruner, Median):
        return tuple(range(pruner.warmup_epochs + 1, epochs))
    return _halving_rungs(pruner, epochs)[bracket:]


def judge(pruner: Rules, at: RungRank) -> Decision:
    """What becomes of a trial that stands at a rung."""
    place = _place(at)
    if isinstance(pruner, Median):
        if at.of < pruner.min_trials or 2 * at.rank <= at.of + 1:
            return Decision("goes_on", f"{place}: not below the median")
        return Decision("stopped", f"{place}: below the median")
    share = _share(pruner.reduction)
    if pruner.promote:
        ahead = at.rank <= at.of // pruner.reduction
        return Decision("goes_on" if ahead else "paused", f"{place}: {_among(ahead)} the best {share}")
    # The first one at a rung goes on: there is nobody to wait for, and nothing to compare it with.
    ahead = at.rank <= max(1, at.of // pruner.reduction)
    return Decision("goes_on" if ahead else "stopped", f"{place}: {_among(ahead)} the best {share}")


def can_pause(pruner: Rules | None) -> TypeGuard[Asha]:
    """Whether it pauses trials instead of stopping them."""
    return isinstance(pruner, Asha) and pruner.promote


def promotable(pruner: Asha, paused: Sequence[Place], closing: bool) -> Place | None:
    """Which of the best paused trials of each rung goes on, the most advanced first; None if none may.

    ``closing`` says that no trial runs and none is to come. Then the best of a rung goes on even where so few
    came there that the best share is less than one trial: else a small study would end with none complete.
    """
    fewest = 1 if closing else 0
    able = [each for each in paused if each.rank <= max(fewest, each.of // pruner.reduction)]
    return max(able, key=lambda each: each.epoch, default=None)


def promoted(pruner: Asha, at: RungRank) -> Decision:
    """What is said of a paused trial that goes on."""
    ahead = at.rank <= at.of // pruner.reduction
    why = f"among the best {_share(pruner.reduction)}" if ahead else "the best of the few that came there"
    return Decision("goes_on", f"{_place(at)}: {why} now")


def stopped_at_the_end(pruner: Asha, at: RungRank) -> Decision:
    """What is said of a trial that is still paused when the study ends."""
    return Decision("stopped", f"{_place(at)}: not among the best {_share(pruner.reduction)}")


def _halving_rungs(pruner: Asha, epochs: int) -> tuple[int, ...]:
    found, epoch = [], pruner.min_epochs
    while epoch < epochs:
        found.append(epoch)
        epoch *= pruner.reduction
    return tuple(found)


@lru_cache(maxsize=64)
def _bracket_order(reduction: int, most_rungs: int) -> tuple[int, ...]:
    """The brackets of as many consecutive slots as hyperband has trials, evenly mixed.

    With s rungs, bracket b of hyperband's s + 1 has ceil((s + 1) / (s - b + 1) * reduction^(s - b)) trials,
    so that all brackets cost about the same; the last trains without early stopping.
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
