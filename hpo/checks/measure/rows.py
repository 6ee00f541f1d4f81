"""Examples as rows: their exact fingerprints, and a few hundred numbers that describe them."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from hpo.checks.measure.nested import is_readable, tensors, values_of

_MOST_COLUMNS = 1024
"""Places of an example that are read, evenly spread."""
_TABLE = 1 << 14
"""Different tokens that are told apart."""
_EMBEDDED = 24
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_PRIME = 1_000_003
_WORD = 8
"""Bytes."""
_MOST_CLASSES = 100


def batch_tensors(inputs: object) -> list[Tensor]:
    """Return the tensors of a batch with as many rows as the first one; empty if it has no rows."""
    if _holds_packed(inputs):
        return []
    found = [each for each in tensors(inputs) if is_readable(each) and each.dim() and each.numel()]
    return [each.detach() for each in found if len(each) == len(found[0])]


def as_one(inputs: object) -> Tensor:
    """Return the values of a batch whose examples cannot be told apart as one row (1, n)."""
    found = [values_of(each).reshape(-1).double() for each in tensors(inputs)]
    return torch.cat(found).unsqueeze(0) if found else torch.zeros(1, 1)


def _holds_packed(value: object) -> bool:
    if isinstance(value, (tuple, list)) and not isinstance(value, PackedSequence):
        return any(map(_holds_packed, value))
    return isinstance(value, PackedSequence)


def columns(tensor: Tensor, most: int = _MOST_COLUMNS) -> Tensor:
    """Return a tensor (B, ...) as (B, D), D at most ``most`` places, evenly spread."""
    flat = tensor.reshape(len(tensor), -1)
    return flat[:, :: -(-flat.shape[1] // most)]


def fingerprints(batch: list[Tensor]) -> Tensor:
    """Return a number (B,) int64 for each example of a batch: equal examples have equal numbers."""
    total = torch.zeros(len(batch[0]), dtype=torch.int64, device=batch[0].device)
    for number, each in enumerate(batch, start=1):
        words = _words(columns(each).contiguous())
        factors = _multipliers(words.shape[1], number, words.device)
        found = (words * factors).sum(1) if words.is_cuda else words.mv(factors)
        total = total * _PRIME + found if number > 1 else found
    return total


def _words(values: Tensor) -> Tensor:
    """Return the bits of contiguous values (B, D) as (B, k) int64, several of them in a word if D allows."""
    if values.dtype is torch.int64:
        return values
    size = values.element_size()
    if values.shape[1] * size % _WORD == 0:
        is_aligned = values.storage_offset() * size % _WORD == 0
        return (values if is_aligned else values.clone()).view(torch.int64)
    if values.dtype is torch.bool:
        return values.long()
    return (values.view(_INTEGERS[size]) if values.is_floating_point() else values).long()


@lru_cache(maxsize=64)
def _multipliers(count: int, seed: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 1 << 62, (count,), generator=generator).to(device)


def described(batch: list[Tensor]) -> Tensor:
    """Return numbers (B, D) float32 of the examples of a batch: values as they are, tokens embedded.

    Of two tensors of the same shape, as in pairs, their distance is added.
    """
    parts = [_numbers(each) for each in batch]
    if len(batch) == 2 and batch[0].shape == batch[1].shape:
        apart = (parts[0] - parts[1]).abs()
        parts += [apart, apart.square().mean(1, keepdim=True).sqrt()]
    return torch.cat(parts, 1)


def _numbers(tensor: Tensor) -> Tensor:
    flat = columns(tensor)
    if flat.is_floating_point() or flat.dtype is torch.uint8 or flat.shape[1] == 1:
        return flat.float()
    words = _drawn(_TABLE, _EMBEDDED, flat.device)[flat.long() % _TABLE]
    mixing = _drawn(flat.shape[1], 1, flat.device)
    return torch.cat([words.mean(1), (words * mixing).mean(1)], 1)


@lru_cache(maxsize=16)
def _drawn(rows: int, columns: int, device: torch.device) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows)).to(device)


def answers(labels: Tensor) -> Tensor:
    """Return labels (B, ...) as numbers (B, k) float32: classes one-hot where there are few."""
    flat = columns(labels.detach())
    whole = not flat.is_floating_point()
    if whole and flat.shape[1] == 1 and int(flat.min()) >= 0 and int(flat.max()) < _MOST_CLASSES:
        return torch.nn.functional.one_hot(flat[:, 0].long()).float()
    return _numbers(flat) if whole else flat.float()
