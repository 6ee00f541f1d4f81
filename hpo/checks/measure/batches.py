"""Compares batches, and training with validation examples, by their values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.checks.data_facts import Batches, Overlap
from hpo.checks.measure.examples import Examples
from hpo.checks.measure.rows import batch_tensors, columns, fingerprints

if TYPE_CHECKING:
    from hpo.checks.measure.kept_batches import Batch, Kept

_ALIKE = 0.99
"""Cosine of two examples that count as the same."""
_NEAR = 0.02
"""Share of the usual distance to the nearest neighbor below which two examples are almost equal."""
_COMPARED = 512
_FEWEST, _FEWEST_PAIRS = 8, 3
_PARTS = (1, 2, 4)
"""Consecutive batches, and halves and quarters of a batch, are compared."""
_FOLLOWS = 0.15
"""Excess of equal labels at the same place above which batches are arranged."""
_LEAST_COLUMNS = 2
"""Single numbers, such as the words of a bag, are in both splits by chance."""


@dataclass(frozen=True)
class FirstEpoch:
    """What the batches of the first epoch have in common; it stays as it is."""

    repeated: float
    alike: float
    order: dict[str, float]


def first_epoch(kept: Kept) -> FirstEpoch:
    """Compare the batches of the first epoch."""
    rows = _joined([each.rows for each in kept.batches if each.is_fresh])
    repeated = 1 - len(np.unique(rows)) / len(rows) if len(rows) else math.nan
    return FirstEpoch(repeated, _alike(kept), _order(kept))


def compared(kept: Kept, first: FirstEpoch) -> Batches:
    """Count how many of the first batches differ, and which labels changed."""
    batches = [each for each in kept.batches if each.rows is not None]
    if not batches:
        return Batches()
    reseen, relabeled = _relabeled(batches)
    used = np.unique(_joined([each.rows for each in batches]))
    given = np.unique(np.array(_rows_of(kept.train), np.int64))
    return Batches(
        steps=len(batches),
        distinct=len(np.unique(_keys(batches))),
        given=len(given),
        unused=len(np.setdiff1d(given, used, assume_unique=True)),
        rows=len(used),
        reseen=reseen,
        relabeled=relabeled,
        repeated=first.repeated,
        alike=first.alike,
        **first.order,
    )


def _joined(rows: Sequence[Tensor | None]) -> NDArray[np.int64]:
    known = [each.cpu() for each in rows if each is not None]
    return torch.cat(known).numpy() if known else np.empty(0, np.int64)


def _relabeled(batches: Sequence[Batch]) -> tuple[int, int]:
    """Return how many labeled examples had come before, and how many of them with another label."""
    labeled = [
        each
        for each in batches
        if each.rows is not None and each.label_rows is not None and len(each.rows) == len(each.label_rows)
    ]
    rows, labels = _joined([each.rows for each in labeled]), _joined([each.label_rows for each in labeled])
    different, first, places = np.unique(rows, return_index=True, return_inverse=True)
    return len(rows) - len(different), int((labels != labels[first][places]).sum())


def _order(kept: Kept) -> dict[str, float]:
    """Return how batches of the first epoch differ in their labels, one number per example."""
    batches = [each for each in kept.batches if each.is_fresh and each.has_row_labels]
    given = [
        each.labels for each in batches if each.labels is not None and each.labels.numel() == len(each.labels)
    ]
    labels = [each.reshape(-1).double().cpu() for each in given if len(each) > 1]
    if len(labels) < _FEWEST or len(labels) < len(batches):
        return {}
    variance = float(torch.cat(labels).var())
    within = float(torch.stack([each.var() for each in labels]).mean())
    means = torch.stack([each.mean() for each in labels])
    ranks = means.argsort().argsort().double()
    steps = torch.arange(len(ranks)).double()
    trend = float(torch.corrcoef(torch.stack([ranks, steps]))[0, 1])
    return {
        "within": within / variance if variance > 0 else math.nan,
        "trend": max(abs(trend), abs(_concordance(means))),
    }


def _concordance(values: Tensor) -> float:
    """Return the share of pairs that rise minus those that fall, of those that differ; 0 without any.

    Rare classes leave most batches equal, whose ranks mean nothing.
    """
    signs = torch.triu(values[None, :] - values[:, None], 1).sign()
    return float(signs.sum() / signs.abs().sum().clamp(min=1))


def _keys(batches: Sequence[Batch]) -> NDArray[np.int64]:
    """Return a number for each batch, whatever the order of its examples."""
    sizes = [len(each.rows) for each in batches if each.rows is not None]
    both = _joined([_with_labels(each) for each in batches])
    starts = np.cumsum([0, *sizes[:-1]])
    return np.add.reduceat(both ^ (both >> 17), starts)


def _with_labels(batch: Batch) -> Tensor | None:
    rows, labels = batch.rows, batch.label_rows
    return rows if rows is None or labels is None or len(labels) != len(rows) else rows * 31 + labels


def _rows_of(examples: Examples | None) -> list[int]:
    batch = batch_tensors(examples.inputs) if examples is not None else []
    if batch and sum(columns(each).shape[1] for each in batch) < _LEAST_COLUMNS:
        return []
    return fingerprints(batch).tolist() if batch else []


def _alike(kept: Kept) -> float:
    """Return how much examples at the same place have in common, of consecutive batches or parts of one.

    Workers with the same random numbers augment alike. In standard deviations above other places; the
    same example twice does not count, and no data whose labels follow their places.
    """
    batches = [each for each in kept.batches if each.inputs is not None and each.is_fresh]
    known = [
        (each.inputs.cpu(), each.labels.cpu())
        for each in batches
        if each.has_row_labels and each.inputs is not None and each.labels is not None
        if len(each.inputs) == len(each.labels)
    ]
    size = len(known[0][0]) if known else 0
    whole = [each for each in known if len(each[0]) == size]
    if len(whole) <= _FEWEST_PAIRS or any(each[1].shape != whole[0][1].shape for each in whole):
        return math.nan
    inputs, labels = (torch.cat([each[place] for each in whole]) for place in (0, 1))
    if any(each[0].shape != whole[0][0].shape for each in whole):
        return math.nan
    std, mean = torch.std_mean(inputs, 0)
    units = _unit((inputs - mean) / std.clamp(min=1e-6))
    found = [_at_distance(units, labels, size // parts) for parts in _PARTS if size % parts == 0]
    return max((each for each in found if not math.isnan(each)), default=math.nan)


def _at_distance(units: Tensor, labels: Tensor, distance: int) -> float:
    """Compare rows (n, d) of length 1 with those at a distance, block by block of this size."""
    if distance < _FEWEST or len(units) < (_FEWEST_PAIRS + 1) * distance:
        return math.nan
    blocks, answers = units.split(distance), labels.split(distance)
    pairs = [(one, other) for one, other in pairwise(blocks) if len(one) == len(other)]
    targets = [(one, other) for one, other in pairwise(answers) if len(one) == len(other)]
    same = sum(_share(one == other) for one, other in targets)
    turned = sum(_share(one == other.roll(1, 0)) for one, other in targets)
    if same > turned + _FOLLOWS * len(targets):
        return math.nan
    found = spread = 0.0
    for one, other in pairs:
        cosines = one @ other.T
        at_place = cosines.diagonal()
        if float(at_place.max()) > _ALIKE:
            continue
        rest = cosines - torch.diag(at_place)
        count = distance * (distance - 1)
        average = float(rest.sum()) / count
        found += float(at_place.sum()) - distance * average
        spread += distance * (float((rest**2).sum()) / count - average**2)
    return found / math.sqrt(spread) if spread > 0 else math.nan


def _share(flags: Tensor) -> float:
    return float(flags.float().mean())


def _unit(rows: Tensor) -> Tensor:
    units: Tensor = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return units


def overlap(kept: Kept) -> Overlap:
    """Count the validation examples of ``before`` that the loop trains on, or almost."""
    fresh = [each.rows for each in kept.batches if each.rows is not None and each.is_fresh]
    seen = [row for rows in fresh for row in rows.tolist()]
    own, theirs = _rows_of(kept.train), _rows_of(kept.val)
    train = set(seen) | set(own)
    shares = [1 - len(set(each)) / len(each) for each in (own, seen) if each]
    repeated = max(shares, default=math.nan)
    if theirs:
        shared = sum(row in train for row in theirs)
        return Overlap(len(theirs), shared, max(shared, _near(kept)), repeated)
    validated = [row for rows in kept.validated for row in rows.tolist()]
    shares = [sum(row in train for row in rows.tolist()) / len(rows) for rows in kept.validated]
    shared = sum(row in train for row in validated) if shares and min(shares) > _ALIKE else 0
    return Overlap(len(validated), shared, shared, repeated)


def _near(kept: Kept) -> int:
    """Count validation examples that are much nearer to a training example than these are to each other."""
    given = [each.images for each in (kept.train, kept.val) if each is not None]
    train, val = (given[0], given[1]) if len(given) == 2 else (None, None)
    if train is None or val is None or not train.is_floating_point() or train.shape[1:] != val.shape[1:]:
        return 0
    one, other = (columns(each[:_COMPARED].detach().float().cpu()) for each in (train, val))
    if len(one) < 2 or not one.isfinite().all() or not other.isfinite().all():
        return 0
    among = torch.cdist(one, one).fill_diagonal_(math.inf).min(1).values
    usual = among.median()
    if float((among < _NEAR * usual).float().mean()) > _NEAR:
        return 0
    return int((torch.cdist(other, one).min(1).values < _NEAR * usual).sum())
