"""When a loop's forward passes are looked at. Counts decide, not a clock: the same loop is measured alike."""

from __future__ import annotations

from dataclasses import dataclass

_RARELY, _PARTS = 16, 64
"""Of later steps one of so many is looked at; in long loops one in so many parts of the steps so far."""
_END, _OF_END = 0.9, 400
"""From this share of a training of known length on, one in so many parts of the whole."""
_LONGEST_FIRST = 5_000
"""Steps of a first epoch of unknown length whose passes are all looked at, for the validation after it."""
_EVERY_EPOCH = 8
"""Epochs whose validation is looked at; later those of doubling numbers."""
_LATE = 2
"""Lengths of an epoch after which its end is no longer waited for."""
_WEYL, _WORD = 0x9E3779B1, 1 << 32


@dataclass
class Looks:
    """Counts the reports of a loop, and says how many pass until its passes are looked at again."""

    expected: int = 0
    """Reports in an epoch; 0 if unknown."""
    total: int = 0
    """Reports in the training; 0 if unknown."""
    reports: int = 0
    of_epoch: int = 0
    """Reports in the present epoch."""
    epochs: int = 0

    def count(self) -> None:
        """Count a report."""
        self.reports += 1
        self.of_epoch += 1

    def end_epoch(self) -> None:
        """Count an epoch, and expect the next one to be as long."""
        self.epochs += 1
        self.expected, self.of_epoch = self.of_epoch or self.expected, 0

    def until_next(self, number: int) -> int:
        """Return how many reports from that of step ``number`` on need no look; 0 if none was made yet."""
        is_unknown = not self.expected and not self.epochs
        if not self.reports or (is_unknown and self.of_epoch < _LONGEST_FIRST):
            return 0
        due = number
        while not self.is_due(due):
            due += 1
        epoch = self.epochs + 1
        is_watched = epoch <= _EVERY_EPOCH or epoch & (epoch - 1) == 0
        if self.expected and is_watched and self.of_epoch < _LATE * self.expected:
            return min(due - number, max(0, self.expected - self.of_epoch))
        return due - number

    def is_due(self, number: int) -> bool:
        """Whether a step is looked at once the first ones are over: the last ones tell what was learned."""
        is_late = self.total and number >= _END * self.total
        parts = self.total // _OF_END if is_late else number // _PARTS
        return is_one_of(max(_RARELY, parts), number)


def is_one_of(count: int, number: int) -> bool:
    """Whether a step is the one of about ``count``: evenly spread, but not in step with any epoch."""
    return number * _WEYL % _WORD < _WORD // count
