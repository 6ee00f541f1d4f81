"""Parameters that a loop may have left out of its training, by mistake or on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from hpo.checks.measure.gradients import norm
from hpo.checks.measure.idle_weights import IdleWeights, untrained
from hpo.checks.measure.nested import is_readable
from hpo.checks.measure.unregistered import unregistered
from hpo.checks.observations import Observations

_GRADIENTS = 32
"""Gradients of which it is read whether they are 0."""
_LOOKS = 6
"""How often gradients are looked for: before and after the first three steps, since a loop clears them."""


class LeftOut:
    """Watches the parameters that are frozen or in no optimizer: other code may still change them."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self._model = model
        self._optimizers = optimizers
        held = self._held()
        named = {name: each for name, each in model.named_parameters() if not is_lazy(each)}
        self._unregistered = unregistered(model) if optimizers else {}
        self._frozen = {
            name: each for name, each in named.items() if not each.requires_grad and id(each) in held
        }
        self._outside = {
            name: each
            for name, each in (named | self._unregistered).items()
            if each.requires_grad and id(each) not in held
        }
        self._names = {id(each): name for name, each in named.items()}
        self._reached_any = False
        self._held_ones = [each for each in named.values() if each.requires_grad and id(each) in held]
        self._held_prints = _prints(self._held_ones)
        self._idle = IdleWeights({self._names[id(each)]: each for each in self._held_ones})
        self._fixed = {name: each for name, each in named.items() if not each.requires_grad}
        others = self._frozen | self._outside
        self._prints = dict(zip(others, _prints(list(others.values())), strict=True))
        self._with_gradient: set[str] = set()
        self._gradient_norms: list[Tensor] = []
        self._unreached = {id(each) for each in self._held_ones}
        self._looks = _LOOKS if optimizers else 0

    def state(self) -> dict[str, Any]:
        """Return what ``load`` takes, by the names of the parameters."""
        held = zip(self._held_ones, self._held_prints, strict=True)
        return {
            "prints": {**self._prints, **{self._names[id(each)]: print_ for each, print_ in held}},
            "unreached": sorted(self._names[each] for each in self._unreached),
            "with_gradient": sorted(self._with_gradient),
            "reached_any": self._reached_any,
            "gradient_norms": self._gradient_norms,
            "looks": self._looks,
            "idle": self._idle.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take what another run of the same training has seen, the first values above all."""
        first = state["prints"]
        own = zip(self._held_ones, self._held_prints, strict=True)
        self._held_prints = [first.get(self._names[id(each)], print_) for each, print_ in own]
        self._prints = {name: first.get(name, print_) for name, print_ in self._prints.items()}
        self._unreached = {key for key in self._unreached if self._names[key] in state["unreached"]}
        self._with_gradient = set(state["with_gradient"])
        self._reached_any, self._looks = state["reached_any"], state["looks"]
        self._gradient_norms = state["gradient_norms"]
        self._idle.load(state.get("idle", []))

    @property
    def is_looking(self) -> bool:
        """Whether there are steps left to look at."""
        return self._looks > 0

    def look(self) -> None:
        """Remember which of them got a gradient; called before and after each step."""
        if self._looks > 0:
            self._looks -= 1
            reached = [each for each in self._held_ones if each.grad is not None]
            if reached:  # otherwise they were cleared already
                self._idle.look()
                self._unreached -= set(map(id, reached))
                self._reached_any = True
                some = reached[:: max(1, len(reached) // _GRADIENTS)]
                self._gradient_norms.append(norm([each.grad for each in some if each.grad is not None]))
            self._with_gradient |= {name for name, each in self._outside.items() if each.grad is not None}

    def read_into(self, seen: Observations) -> None:
        """Move everything that is known at the end of a training to ``seen``."""
        seen.untrained, seen.still_frozen = self.read()
        seen.unreached = self.unreached()
        seen.is_unchanged = self.is_unchanged()
        seen.updates = replace(
            seen.updates,
            idle_optimizers=self.idle_optimizers(),
            has_zero_gradients=self.has_zero_gradients,
            has_zero_weights=seen.is_unchanged and self.has_zero_weights(),
            unregistered=self.unregistered(seen.untrained),
            alike=self._idle.alike(),
            has_trained_weights=any(each.dim() > 1 for each in self._held_ones),
            without_gradient=self.without_gradient(),
            frozen_as_drawn=untrained(
                {name: each for name, each in self._fixed.items() if not each.requires_grad}
            ),
        )

    def read(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the unchanged parameters outside of the optimizers, and the frozen ones that these have."""
        held = self._held()
        others = self._frozen | self._outside
        prints = zip(others, _prints(list(others.values())), strict=True)
        still = {name for name, now in prints if _is_same(now, self._prints[name])}
        return (
            tuple(
                name
                for name, each in self._outside.items()
                if name in still and name in self._with_gradient and id(each) not in held
            ),
            tuple(name for name, each in self._frozen.items() if name in still and not each.requires_grad),
        )

    def unreached(self) -> tuple[str, ...]:
        """Return parameters of the optimizers that got no gradient in the first steps and never changed."""
        if not self._reached_any:
            return ()
        left = self._unreached & self._unchanged()
        return tuple(self._names[id(each)] for each in self._held_ones if id(each) in left)

    def without_gradient(self) -> tuple[str, ...]:
        """Return weights whose gradients were exactly 0 in the first steps, and that never changed."""
        left = {self._names[each] for each in self._unchanged()}
        return tuple(name for name in self._idle.without_gradient() if name in left)

    def is_unchanged(self) -> bool:
        """Whether no parameter of the optimizers has changed since the start."""
        return bool(self._held_ones) and len(self._unchanged()) == len(self._held_ones)

    def idle_optimizers(self) -> tuple[int, ...]:
        """Return the numbers of the optimizers whose parameters got gradients but did not change.

        Empty unless parameters of another optimizer did.
        """
        unchanged, reached = self._unchanged(), {id(each) for each in self._held_ones} - self._unreached
        if len(unchanged) == len(self._held_ones):
            return ()
        own = [_held([optimizer]) & {id(each) for each in self._held_ones} for optimizer in self._optimizers]
        return tuple(number for number, each in enumerate(own) if each & reached and each <= unchanged)

    @property
    def has_zero_gradients(self) -> bool:
        """Whether every gradient that was looked at was exactly 0."""
        norms = self._gradient_norms
        return bool(norms) and not any(float(each) != 0 for each in norms)

    def has_zero_weights(self) -> bool:
        """Whether all weights of the optimizers are exactly 0, apart from vectors such as biases."""
        weights = [each for each in self._held_ones if each.dim() > 1]
        return bool(weights) and not any(bool((each.detach() != 0).any()) for each in weights)

    def unregistered(self, untrained: Sequence[str]) -> tuple[str, ...]:
        """Return those of the ``untrained`` that the model holds without knowing them as parameters."""
        return tuple(name for name in untrained if name in self._unregistered)

    def _unchanged(self) -> set[int]:
        pairs = zip(self._held_ones, _prints(self._held_ones), self._held_prints, strict=True)
        return {id(each) for each, now, before in pairs if _is_same(now, before)}

    def _held(self) -> set[int]:
        return _held(self._optimizers)


def _held(optimizers: Sequence[Optimizer]) -> set[int]:
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    return {id(each) for group in groups for each in group["params"]}


@torch.no_grad()
def _prints(parameters: Sequence[Tensor]) -> list[float | Tensor]:
    """Return what tells whether each of them has changed: its norm, or a copy if it has none in float64."""
    plain = [each.detach() for each in parameters if _is_plain(each)]
    norms = [each.cpu() for each in torch._foreach_norm(plain, 2, dtype=torch.float64)] if plain else []
    rest = iter(torch.stack(norms).tolist() if norms else [])
    return [next(rest) if _is_plain(each) else each.detach().clone() for each in parameters]


def _is_plain(parameter: Tensor) -> bool:
    return parameter.is_floating_point() and is_readable(parameter)


def _is_same(now: float | Tensor, before: float | Tensor) -> bool:
    if isinstance(now, Tensor) and isinstance(before, Tensor):
        return torch.equal(now, before)
    return bool(now == before)
