"""Which loss is it? Its gradient by the outputs tells, mostly without the labels.

Cross-entropy gives softmax - one-hot, binary cross-entropy sigmoid - y, squared error outputs - y. A loss
that averages or sums, weights classes or ignores some examples keeps the direction of each row.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

KINDS = (
    *("", "cross_entropy", "nll", "bce", "mse", "mse_of_mean"),
    *("cross_entropy_of_probabilities", "bce_of_probabilities"),
)
"""``nll`` takes log-probabilities; ``mse_of_mean`` compares each output with the mean of all labels; the last
two are losses for logits of outputs that went through softmax or sigmoid already."""
_MOST_ROWS = 2048
_FEWEST_ROWS = 4
_EQUAL = 0.995
"""Cosine of two gradients that are equal but for rounding, weights of classes or a little smoothing."""
_CLOSE = 0.02
_SEVERAL = 2
"""Numbers of an example that a mask leaves."""
_EXACT = 1e-3
_STRAY = 0.05
"""Share of a padding class that may be elsewhere than at the end."""
_MANY = 16
"""So many logits are never all between 0 and 1 by chance."""


def loss_kind(output: Tensor, gradient: Tensor) -> Tensor:
    """Return the index () in KINDS of the loss with this ``gradient`` by ``output``, both (B, ...) floats."""
    unknown = torch.zeros((), dtype=torch.long, device=output.device)
    if output.shape != gradient.shape or output.ndim == 0 or not output.is_floating_point():
        return unknown
    output, gradient = output.detach().float(), gradient.float()
    if output.is_sparse or gradient.is_sparse or len(output) < _FEWEST_ROWS:
        return unknown
    varies = output.max() > output.min()  # outputs that are all 0 fit any loss
    inside = (output >= 0).all() & (output <= 1).all() & (output.numel() >= _MANY) & varies
    is_twice = inside & _is_binary_of_logits(output, gradient)
    binary = torch.where(is_twice, KINDS.index("bce_of_probabilities"), KINDS.index("bce"))
    code = torch.where(_is_binary(output, gradient), binary, unknown)
    for dim in {1, output.ndim - 1} if output.ndim > 1 else ():
        if output.shape[dim] > 1:
            rows, slopes = (each.movedim(dim, -1).flatten(0, -2)[:_MOST_ROWS] for each in (output, gradient))
            is_twice = (rows >= 0).all() & ((rows.sum(1) - 1).abs().max() < _CLOSE) & varies
            twice, once = KINDS.index("cross_entropy_of_probabilities"), KINDS.index("cross_entropy")
            kind = torch.where(is_twice, twice, once)
            code = torch.where(_is_cross_entropy(rows, slopes), kind, code)
            code = torch.where(_is_nll(rows, slopes), KINDS.index("nll"), code)
    return code


def _sums(slopes: Tensor) -> dict[int, Tensor]:
    """Return how far the last and the second dimension of a gradient (B, ...) are from that of classes.

    It adds up to 0 along these, or, of log-probabilities, has a single entry there.
    """
    found = {}
    for dim in (slopes.ndim - 1, 1):
        is_single = ((slopes != 0).sum(dim) <= 1).all()
        found[dim] = torch.where(is_single, 0.0, slopes.sum(dim).abs().sum())
    return found


def implied_loss(output: Tensor, gradient: Tensor) -> Tensor:
    """Return the mean cross-entropy () of outputs (B, C, ...) and the classes that they are pulled to.

    NaN without such outputs. Rows without a gradient, such as padding, do not count.
    """
    if output.shape != gradient.shape or output.ndim < 2 or not output.is_floating_point():
        return torch.full((), torch.nan, device=output.device)
    sums = _sums(gradient.float())
    losses = []
    for dim in sums:
        rows, slopes = (each.detach().float().movedim(dim, -1).flatten(0, -2) for each in (output, gradient))
        costs = F.cross_entropy(rows, slopes.argmin(1), reduction="none")
        active = slopes.abs().sum(1) > 0
        losses.append((costs * active).sum() / active.sum())
    best = torch.stack(list(sums.values())).argmin()
    return torch.stack(losses)[best]


def class_entropy(output: Tensor, gradient: Tensor) -> Tensor:
    """Return the entropy () of the classes that outputs (B, C, ...) are pulled to, over all their places.

    That is what the best constant answer costs. NaN without such outputs.
    """
    if output.shape != gradient.shape or output.ndim < 2 or not output.is_floating_point():
        return torch.full((), torch.nan, device=output.device)
    sums = _sums(gradient.float())
    entropies = []
    for dim in sums:
        slopes = gradient.float().movedim(dim, -1).flatten(0, -2)
        active = (slopes.abs().sum(1) > 0).float()
        counts = torch.zeros(slopes.shape[1], device=slopes.device).index_add(0, slopes.argmin(1), active)
        shares = counts / counts.sum()
        entropies.append(-(shares * shares.clamp(min=1e-12).log()).sum())
    return torch.stack(entropies)[torch.stack(list(sums.values())).argmin()]


def tail_share(output: Tensor, gradient: Tensor) -> Tensor:
    """Return the share () of a loss of sequences that is about one class at their ends, such as padding.

    The outputs are (B, T, C) or (B, C, T). 0 if the class is as frequent elsewhere or if most sequences end
    with another one; NaN without sequences. Places without a gradient do not count.
    """
    if output.shape != gradient.shape or output.ndim != 3 or len(output) < _FEWEST_ROWS:
        return torch.full((), torch.nan, device=output.device)
    slopes = gradient.float()
    sums = _sums(slopes)
    if sums[1] < sums[2]:
        slopes = slopes.transpose(1, 2)
    wanted, active = slopes.argmin(2), slopes.abs().sum(2) > 0
    last = wanted[:, -1].mode().values
    same = (wanted == last) & active
    tails = same.flip(1).cumprod(1).flip(1)
    # A batch is padded to its longest sequence, which has no padding; a token that ends a text comes once.
    padded = (tails[:, -1] > 0).sum()
    is_padding = (2 * padded >= len(tails)) & (tails.sum() >= 2 * padded)
    is_padding &= (same.sum() - tails.sum()) <= _STRAY * tails.sum()
    return is_padding * tails.sum() / active.sum()


def error_kind(output: Tensor, gradient: Tensor, labels: Tensor) -> Tensor:
    """Return the index () in KINDS of a squared error of ``output`` and as many float ``labels``."""
    output, gradient, labels = (each.detach().float().flatten() for each in (output, gradient, labels))
    unknown = torch.zeros((), dtype=torch.long, device=output.device)
    if output.shape != gradient.shape or output.shape != labels.shape or len(output) < _FEWEST_ROWS:
        return unknown
    of_mean = F.cosine_similarity(gradient, output - labels.mean(), dim=0) > _EQUAL
    # A gradient that is the same everywhere fits outputs that are; it has to vary with them.
    apart = F.cosine_similarity(gradient - gradient.mean(), output - output.mean(), dim=0)
    of_mean &= apart > _EQUAL
    own = F.cosine_similarity(gradient, output - labels, dim=0) > _EQUAL
    code = torch.where(of_mean, KINDS.index("mse_of_mean"), unknown)
    return torch.where(own, KINDS.index("mse"), code)


def constant_loss(output: Tensor, gradient: Tensor, loss: Tensor) -> Tensor:
    """Return the squared error () that the best constant answer has in this batch; NaN for other losses.

    The gradient of c |outputs - targets|² tells both: c = |gradient|² / 4 loss.
    The error is a mean, a sum, or a sum over all but the examples, or half of that; or a mean over a mask.
    """
    unknown = torch.full((), torch.nan, device=output.device)
    if output.shape != gradient.shape or not output.ndim or len(output) < _FEWEST_ROWS:
        return unknown
    output, gradient, loss = (each.detach().float().to(output.device) for each in (output, gradient, loss))
    factor = gradient.square().sum() / (4 * loss)
    usual = torch.tensor([1.0, output.numel(), len(output)], device=output.device)
    products = torch.cat([factor * usual, 2 * factor * usual])
    asked = gradient != 0
    is_whole = ((products - 1).abs() < _EXACT).any() & ((~asked).float().mean() < _CLOSE)
    # One number of each example, chosen by an action, has a target that moves.
    is_masked = ((factor * asked.sum() - 1).abs() < _EXACT) & (asked.sum() > _SEVERAL * len(output))
    targets, count = output - gradient / (2 * factor), asked.sum(0)
    mean = (targets * asked).sum(0) / count.clamp(min=1)
    spread = ((targets - mean) * asked).square().sum(0) * count / (count - 1).clamp(min=1)
    constant: Tensor = factor * spread.sum()
    return torch.where(is_whole | is_masked, constant, unknown)


def variety(output: Tensor) -> Tensor:
    """Return how much outputs (B, ...) differ between examples, over their size; ()."""
    output = output.detach().float()
    if not output.ndim or len(output) < _FEWEST_ROWS:
        return torch.full((), torch.nan, device=output.device)
    differences: Tensor = (output - output.mean(0)).norm() / output.norm()
    return differences


def pull(output: Tensor, gradient: Tensor, labels: Tensor) -> Tensor:
    """Return the share () of the outputs (B, ...) that the loss pulls toward their float labels.

    The labels have as many numbers, or one for each example. NaN without such labels.
    """
    output, gradient, labels = (each.detach().float() for each in (output, gradient, labels))
    unknown = torch.full((), torch.nan, device=output.device)
    if output.shape != gradient.shape or not output.ndim or len(output) < _FEWEST_ROWS:
        return unknown
    labels = labels.to(output.device)
    if labels.numel() == output.numel():
        truth = labels.reshape(output.shape)
    elif labels.numel() == len(output):
        truth = labels.reshape(-1, *[1] * (output.ndim - 1))
    else:
        return unknown
    binary = ((labels == 0) | (labels == 1)).all()  # these are the sides of a logit
    away = torch.where(binary, 1 - 2 * truth, output - truth)
    pulled = (gradient * away > 0).float().sum()
    return pulled / (gradient != 0).float().sum()


def _is_cross_entropy(rows: Tensor, slopes: Tensor) -> Tensor:
    """Return whether each row (N, C) is pulled to one class as by cross-entropy."""
    active = slopes.abs().sum(1) > 0
    target = rows.softmax(1) - F.one_hot(slopes.argmin(1), rows.shape[1])
    balanced = slopes.sum(1).abs() <= _CLOSE * slopes.abs().sum(1)
    if rows.shape[1] == 2:  # any two opposite numbers have the direction; their sizes must fit too
        alike = F.cosine_similarity(slopes[:, 0] * active, target[:, 0] * active, dim=0) > _EQUAL
    else:
        cosines = F.cosine_similarity(slopes, target, dim=1)
        alike = (cosines * active).sum() > _EQUAL * active.sum()
    return alike & (balanced | ~active).all() & (active.sum() >= _FEWEST_ROWS)


def _is_nll(rows: Tensor, slopes: Tensor) -> Tensor:
    """Return whether rows (N, C) are log-probabilities of which one entry each is to rise."""
    normal = rows.logsumexp(1).abs().max() < _CLOSE
    count = (slopes != 0).sum(1)
    return normal & (count <= 1).all() & (slopes <= 0).all() & (count.sum() >= _FEWEST_ROWS)


def _is_binary(output: Tensor, gradient: Tensor) -> Tensor:
    """Return whether labels that would give this mean binary cross-entropy are all 0 or 1."""
    inside = (output > 0).all() & (output < 1).all()
    of_probabilities = output - gradient * gradient.numel() * output * (1 - output)
    return _is_binary_of_logits(output, gradient) | (inside & _zero_or_one(of_probabilities))


def _is_binary_of_logits(output: Tensor, gradient: Tensor) -> Tensor:
    return _zero_or_one(output.sigmoid() - gradient * gradient.numel())


def _zero_or_one(labels: Tensor) -> Tensor:
    return torch.minimum(labels.abs(), (labels - 1).abs()).max() < _CLOSE
