"""Can the answer be read off the input? Of tables and texts with one label, and of tokens to be predicted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hpo.checks.data_facts import Answers
from hpo.checks.measure.dependence import dependence
from hpo.checks.measure.examples import Examples, class_labels, first_output
from hpo.checks.measure.nested import is_batch, length, mapped, tensors
from hpo.checks.measure.rows import answers, batch_tensors, columns
from hpo.checks.measure.untouched import undisturbed

if TYPE_CHECKING:
    from hpo.checks.measure.kept_batches import Kept

_CUT = 8
"""Examples of the first batch that are run again."""
_FEWEST = 50
_FEWEST_COLUMNS = 3
_PER_CLASS = 5
_MOST_CLASSES = 100
_EQUAL = 0.99999
"""Correlation of a column with the label that leaves no doubt."""
_FOUND = 0.95
_VANISHES = 1e-3


class FirstBatch:
    """The first batch of a loop: tokens, and the tokens that the loss's gradient asks for."""

    def __init__(self) -> None:
        self.model: nn.Module | None = None
        self.inputs: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.is_reshaped: Tensor | None = None
        """(): see ``Answers``."""
        self.wanted: Tensor | None = None
        """(B, T) tokens that the gradient pulls the outputs (B, T, V) to; -1 where there is none."""

    def state(self) -> dict[str, Any]:
        """Return what ``load`` takes; the model is not part of it."""
        return {"inputs": self.inputs, "is_reshaped": self.is_reshaped, "wanted": self.wanted}

    def load(self, model: nn.Module | None, state: dict[str, Any]) -> None:
        """Take the first batch of another run of the same training."""
        self.model = model
        self.inputs, self.is_reshaped = state["inputs"], state["is_reshaped"]
        self.wanted = state["wanted"]

    def take(
        self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Tensor | None
    ) -> None:
        """Keep a few examples of the batch, if it predicts tokens from tokens."""
        if output is None or not output.requires_grad:
            return
        if output.dim() > 2:
            output.register_hook(self._on_arrangement)
        places = _by_place(output, (inputs, named))
        if places.dim() != 3 or not is_batch((inputs, named) if named else inputs):
            return
        if length((inputs, named)) is None or not _tokens((inputs, named), places):
            return
        self.model = model
        self.inputs = mapped((inputs, named), lambda each: each[:_CUT].detach().clone())
        shape = places.shape
        output.register_hook(lambda gradient: self._on_gradient(gradient.detach().reshape(shape)))

    def _on_arrangement(self, gradient: Tensor) -> None:
        if self.is_reshaped is None:
            self.is_reshaped = _is_reshaped(gradient.detach().float())

    def _on_gradient(self, gradient: Tensor) -> None:
        if self.wanted is not None:
            return
        active = ((gradient < 0).sum(-1) == 1) & (gradient.sum(-1).abs() < 1e-3 * gradient.abs().sum(-1))
        self.wanted = torch.where(active, gradient.argmin(-1), -1)[:_CUT]


def _by_place(output: Tensor, inputs: object) -> Tensor:
    """Return outputs (B * T, V) as (B, T, V), where an input has tokens (B, T)."""
    if output.dim() != 2:
        return output
    for each in tensors(inputs):
        if each.dim() == 2 and not each.is_floating_point() and each.numel() == len(output) > len(each):
            return output.view(*each.shape, -1)
    return output


def _is_reshaped(gradient: Tensor) -> Tensor:
    """Return whether the gradient (B, ...) sums to 0 over classes only if it is cut in another way.

    That of a cross-entropy does along the dimension of the classes; after a reshape that should have been a
    transposition, along no dimension of the outputs.
    """
    flat = gradient.flatten(1)
    right = [_vanishes(gradient, gradient.sum(dim)) for dim in range(1, gradient.dim())]
    wrong = []
    for size in {each for each in gradient.shape[1:] if 1 < each < flat.shape[1]}:
        wrong.append(_vanishes(flat, flat.view(len(flat), size, -1).sum(1)))
        wrong.append(_vanishes(flat, flat.view(len(flat), -1, size).sum(2)))
    if not wrong:
        return torch.zeros((), dtype=torch.bool)
    return torch.stack(wrong).any() & ~torch.stack(right).any()


def _vanishes(gradient: Tensor, sums: Tensor) -> Tensor:
    scale = gradient.abs().sum() / sums.numel()
    vanishes: Tensor = (scale > 0) & (sums.abs().max() < _VANISHES * scale)
    return vanishes


def _tokens(inputs: object, output: Tensor) -> list[Tensor]:
    """Return the inputs (B, T) of whole numbers that have the length of the outputs (B, T, V)."""
    return [
        each
        for each in tensors(inputs)
        if each.dim() == 2
        and not each.is_floating_point()
        and each.dtype is not torch.bool
        and each.shape[1] == output.shape[1]
        and int(each.max()) > 1
    ]


def found(kept: Kept, first: FirstBatch) -> Answers:
    """Look for the answer in the inputs."""
    column, others = _column(kept)
    same, following, ahead, at_place = _of_tokens(first)
    reshaped = first.is_reshaped is not None and bool(first.is_reshaped)
    return Answers(column, others, same, following, reshaped, ahead, at_place)


def _column(kept: Kept) -> tuple[int, float]:
    """Return the place whose value determines the label, and how labels depend on the other places."""
    for values, labels in (_of_examples(kept.train), _of_batches(kept)):
        if values is None or labels is None or len(labels) < _FEWEST or values.shape[1] < _FEWEST_COLUMNS:
            continue
        target = _single(labels)
        exact = values.double()
        is_certain = _certain(exact, labels) if target is None else _determines(exact, target)
        if bool(is_certain.any()):
            rest = values[:, ~is_certain].float()
            others = dependence([rest], [answers(labels)]) if rest.shape[1] else math.nan
            return int(is_certain.nonzero()[0]), others
    return -1, math.nan


def _of_examples(examples: Examples | None) -> tuple[Tensor | None, Tensor | None]:
    """Return inputs (n, D) and labels (n, ...) of the examples of ``before``."""
    batch = batch_tensors(examples.inputs) if examples is not None else []
    labels = next((each for each in tensors(examples.labels) if each.dim()), None) if examples else None
    if not batch or labels is None or len(labels) != len(batch[0]):
        return None, None
    return columns(batch[0]).cpu(), labels.detach().cpu()


def _of_batches(kept: Kept) -> tuple[Tensor | None, Tensor | None]:
    """Return inputs and labels of the first batches."""
    known = [
        (each.inputs, each.labels)
        for each in kept.batches
        if each.is_plain and each.inputs is not None and each.labels is not None
        if len(each.inputs) == len(each.labels)
    ]
    if not known or any(y.shape[1:] != known[0][1].shape[1:] for _, y in known):
        return None, None
    if any(x.shape[1] != known[0][0].shape[1] for x, _ in known):
        return None, None
    return torch.cat([x for x, _ in known]).cpu(), torch.cat([y for _, y in known]).cpu()


def _single(labels: Tensor) -> Tensor | None:
    """Return labels (n,) float64 if there is one class or number for each example."""
    classes = class_labels(labels)
    if classes is not None:
        return classes.double()
    flat = labels.reshape(len(labels), -1)
    return flat[:, 0].double() if flat.shape[1] == 1 and flat.is_floating_point() else None


def _certain(values: Tensor, labels: Tensor) -> Tensor:
    """Return which columns (D,) are one of several labels per example, if all of these are among them.

    As many are those of an autoencoder.
    """
    targets = labels.reshape(len(labels), -1)
    nothing = torch.zeros(values.shape[1], dtype=torch.bool)
    if not targets.is_floating_point() or not 1 < targets.shape[1] < min(values.shape[1], _MOST_CLASSES):
        return nothing
    equal = torch.stack([_determines(values, each) for each in targets.double().T])
    return equal.any(0) if bool(equal.any(1).all()) else nothing


def _determines(values: Tensor, target: Tensor) -> Tensor:
    """Return which columns (D,) of values (n, D) determine the target (n,) and are determined by it."""
    classes = target.unique()
    if 2 <= len(classes) <= min(_MOST_CLASSES, len(target) // _PER_CLASS):
        low, high = (
            torch.stack([getattr(values[target == each], end)(0).values for each in classes])
            for end in ("min", "max")
        )
        apart = low.sort(0).values.diff(dim=0) > 0
        return (low == high).all(0) & apart.all(0)
    centered, wanted = values - values.mean(0), target - target.mean()
    size = centered.norm(dim=0) * wanted.norm()
    is_equal: Tensor = (centered.T @ wanted).abs() > _EQUAL * size.clamp(min=1e-30)
    return is_equal


def _of_tokens(first: FirstBatch) -> tuple[float, float, float, float]:
    """Return the shares of wanted tokens given at the same and at the next place, and ``_looks``."""
    nothing = (math.nan, math.nan, math.nan, math.nan)
    if first.wanted is None or first.inputs is None or first.model is None:
        return nothing
    wanted = first.wanted.cpu()
    if not bool((wanted >= 0).sum() >= _CUT):
        return nothing
    best = nothing
    for given in tensors(first.inputs):
        if given.shape != wanted.shape or given.is_floating_point():
            continue
        same, following = _shares(given.cpu(), wanted)
        if max(same, following) < _FOUND or max(same, following) <= max(best[0], best[1], 0.0):
            continue
        best = (same, following, *_looks(first, given))
    return best


def _shares(given: Tensor, wanted: Tensor) -> tuple[float, float]:
    known = wanted >= 0
    same = float((given == wanted)[known].float().mean())
    later = known[:, :-1]
    following = float((given[:, 1:] == wanted[:, :-1])[later].float().mean()) if bool(later.any()) else 0.0
    return same, following


def _looks(first: FirstBatch, given: Tensor) -> tuple[float, float]:
    """Return how much outputs change when tokens of the second half do: those before, and at the first."""
    assert first.model is not None and first.inputs is not None
    half = given.shape[1] // 2
    if half < 1:
        return math.nan, math.nan
    changed = given.clone()
    changed[:, half:] = (given.roll(1, 0) if len(given) > 1 else given.flip(1))[:, half:]
    if torch.equal(changed[:, half], given[:, half]):
        return math.nan, math.nan
    other = mapped(first.inputs, lambda each: changed if each is given else each)
    results = []
    with undisturbed(first.model, batch_statistics=False), torch.no_grad():
        for inputs, named in (first.inputs, other):
            results.append(_by_place(first_output(first.model(*inputs, **named)), (inputs, named)))
    plain, altered = results
    change = (plain - altered).abs() / plain[:, :half].std().clamp(min=1e-12)
    return float(change[:, :half].max()), float(change[:, half].max())
