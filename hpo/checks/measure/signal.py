"""Do the labels of a loop depend on its inputs, and on what its network computes?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from hpo.checks.data_facts import Dependence
from hpo.checks.measure.dependence import dependence
from hpo.checks.measure.examples import Examples
from hpo.checks.measure.nested import tensors
from hpo.checks.measure.rows import answers, batch_tensors, described

if TYPE_CHECKING:
    from hpo.checks.measure.kept_batches import Batch, Kept

_MOST = 480
_MOST_CLASSES = 100


def dependence_of(kept: Kept) -> Dependence:
    """Measure how labels depend on inputs, in both splits, and on outputs, early and late."""
    own, count = _of_examples(kept.train)
    batches = [each for each in kept.batches if each.labels is not None]
    kinds = [each for each in batches if each.inputs is not None and each.has_row_labels]
    if sum(len(each.inputs) for each in kinds if each.inputs is not None) > count:
        own, count = _of_batches(kinds)
    theirs, val_count = _of_examples(kept.val)
    first = [each for each in _once(batches) if _is_labeled(each) and each.is_fresh]
    last = [each for each in kept.last if _is_labeled(each)]
    recalls, counts = _recalls(last)
    if not counts:
        recalls, counts = _binary_recalls(last)
    return Dependence(
        inputs=own,
        examples=count,
        val_inputs=theirs,
        val_examples=val_count,
        first_outputs=_on_outputs(first),
        first_examples=_size(first),
        last_outputs=_on_outputs(last),
        last_examples=_size(last),
        largest=_largest(batches),
        constant_loss=_constant_loss(batches),
        spread=_spread(last),
        recalls=recalls,
        counts=counts,
        several=_several(batches),
    )


def _is_labeled(batch: Batch) -> bool:
    """Whether there is one output for each label."""
    return batch.outputs is not None and batch.labels is not None and len(batch.outputs) == len(batch.labels)


def _of_examples(examples: Examples | None) -> tuple[float, int]:
    """Return the dependence of labels on inputs, and the number of examples."""
    if examples is None or examples.labels is None:
        return math.nan, 0
    inputs, labels = batch_tensors(examples.inputs), next(iter(tensors(examples.labels)), None)
    if not inputs or labels is None or not labels.dim() or len(labels) != len(inputs[0]):
        return math.nan, 0
    cut = slice(0, _MOST)
    features = described([each[cut].cpu() for each in inputs])
    return dependence([features], [answers(labels[cut].cpu())]), len(features)


def _of_batches(batches: Sequence[Batch]) -> tuple[float, int]:
    pairs = [(each.inputs, each.labels) for each in batches]
    known = [(x, y[: len(x)]) for x, y in pairs if x is not None and y is not None]
    first = known[0]
    alike = [
        (x, y) for x, y in known if (x.shape[1:], y.shape[1:]) == (first[0].shape[1:], first[1].shape[1:])
    ]
    features, labels = (torch.cat([each[place].cpu() for each in alike])[:_MOST] for place in (0, 1))
    return dependence([features], [answers(labels)]), len(features)


def _once(batches: Iterable[Batch]) -> list[Batch]:
    """Drop batches whose examples have been in an earlier one."""
    seen: set[int] = set()
    fresh = []
    for batch in batches:
        rows = set(batch.rows.tolist()) if batch.rows is not None else set()
        if batch.labels is not None and batch.rows is not None and len(batch.labels) != len(batch.rows):
            rows = {hash(tuple(batch.rows.tolist()))}
        if not rows & seen:
            fresh.append(batch)
        seen |= rows
    return fresh


def _on_outputs(batches: Sequence[Batch]) -> float:
    known = [(each.outputs, each.labels) for each in batches]
    features = [outputs.cpu() for outputs, _ in known if outputs is not None]
    labels = [answers(labels.cpu()) for _, labels in known if labels is not None]
    return dependence(features, labels) if features else math.nan


def _size(batches: Sequence[Batch]) -> int:
    return sum(len(each.labels) for each in batches if each.labels is not None)


def _largest(batches: Sequence[Batch]) -> float:
    """Return the share of the most frequent label; NaN for several per example or many different ones."""
    given = [each.labels.cpu() for each in batches if each.labels is not None]
    if not given or any(each.numel() != len(each) for each in given):
        return math.nan
    labels = torch.cat([each.reshape(-1).double() for each in given])
    counts = labels.unique(return_counts=True)[1]
    return float(counts.max()) / len(labels) if len(counts) <= _MOST_CLASSES else math.nan


def _constant_loss(batches: Sequence[Batch]) -> float:
    """Return the loss of the best constant answer: the entropy of classes, the variance of numbers."""
    whole = [
        each.labels for each in batches if each.labels is not None and not each.labels.is_floating_point()
    ]
    if whole:
        labels = torch.cat([each.reshape(-1).cpu() for each in whole])
        counts = labels[labels >= 0].unique(return_counts=True)[1].double()
        shares = counts / counts.sum()
        return float(-(shares * shares.log()).sum())
    known = [each.labels for each in batches if each.labels is not None and each.labels.is_floating_point()]
    given = [each.reshape(len(each), -1).float().cpu() for each in known]
    if not given or any(each.shape[1:] != given[0].shape[1:] for each in given):
        return math.nan
    labels = torch.cat(given)
    if bool(((labels == 0) | (labels == 1)).all()):
        share = labels.mean(0).clamp(1e-6, 1 - 1e-6)
        return float(-(share * share.log() + (1 - share) * (1 - share).log()).mean())
    return float(labels.var(0, correction=0).mean())


def _spread(batches: Sequence[Batch]) -> float:
    known = [each.outputs.float() for each in batches if each.outputs is not None and len(each.outputs) > 1]
    sizes = [float(each.std(0).max() / each.abs().max().clamp(min=1e-30)) for each in known]
    return sorted(sizes)[len(sizes) // 2] if sizes else math.nan


def _several(batches: Sequence[Batch]) -> float:
    """Return the share of examples with none or several of the labels 0 and 1; NaN for other labels."""
    given = [each.labels.cpu().double() for each in batches if each.labels is not None]
    if not given or any(each.dim() != 2 or each.shape[1] < 2 for each in given):
        return math.nan
    rows = torch.cat(given) if len({each.shape[1] for each in given}) == 1 else torch.empty(0)
    if not len(rows) or not bool(((rows == 0) | (rows == 1)).all()):
        return math.nan
    return float((rows.sum(1) != 1).double().mean())


def _binary_recalls(batches: Sequence[Batch]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Return the same for labels 0 and 1 and one output each: a logit, or a probability if all could be."""
    pairs = [
        (each.outputs[:, 0].float().cpu(), each.labels.reshape(-1).double().cpu())
        for each in batches
        if each.outputs is not None and each.labels is not None and each.width == 1
    ]
    if not pairs or any(len(outputs) != len(labels) for outputs, labels in pairs):
        return (), ()
    outputs, labels = (torch.cat(each) for each in zip(*pairs, strict=True))
    if not bool(((labels == 0) | (labels == 1)).all()):
        return (), ()
    is_probability = bool(((outputs >= 0) & (outputs <= 1)).all())
    named = outputs > (0.5 if is_probability else 0.0)
    right = [(named == bool(value))[labels == value] for value in (0, 1)]
    return tuple(float(each.double().mean()) for each in right), tuple(map(len, right))


def _recalls(batches: Sequence[Batch]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Return the share of each class's examples in the latest batches that the outputs (B, C) name."""
    hits = total = None
    for batch in batches:
        outputs, labels = batch.outputs, batch.labels
        if outputs is not None:
            outputs = outputs[:, : batch.width]
        if outputs is None or labels is None or labels.is_floating_point() or labels.dim() != 1:
            return (), ()
        classes = outputs.shape[1]
        if not 2 <= classes <= _MOST_CLASSES or int(labels.min()) < 0 or int(labels.max()) >= classes:
            return (), ()
        right = labels[outputs.argmax(1) == labels]
        counts = [torch.bincount(each.long(), minlength=classes) for each in (right, labels)]
        if total is not None and len(total) != classes:
            return (), ()
        hits, total = (
            (counts[0], counts[1]) if hits is None or total is None else (hits + counts[0], total + counts[1])
        )
    if hits is None or total is None:
        return (), ()
    return tuple((hits / total).tolist()), tuple(total.tolist())
