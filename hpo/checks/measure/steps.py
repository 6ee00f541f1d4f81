"""Losses of steps and classes of their batches, on the device until a round of checks reads them."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from hpo.checks.measure.examples import class_labels
from hpo.checks.measure.nested import tensors
from hpo.checks.measure.tensors import tensor_facts
from hpo.checks.observations import Observations

STEPS = "record of losses"
"""What the guard calls it."""
_BATCHES_COUNTED = 20
_MOST_CLASSES = 1000
"""Classes that are counted in a batch where their number is unknown."""


class StepRecord:
    """What the loop has reported of its steps since the last round of checks."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        """() each."""
        self._classes: list[Tensor] = []
        """(C,) each: the examples of every class in a batch."""

    def look(self, labels: object, seen: Observations) -> None:
        """Look at the labels of a batch, and count the classes of the first ones."""
        is_counted = len(seen.batch_classes) + len(self._classes) >= _BATCHES_COUNTED
        if is_counted and seen.labels is not None:
            return
        given = next((each for each in tensors(labels) if each.dim()), None)
        if given is None:
            return
        if seen.labels is None:
            seen.labels = tensor_facts(given)
        if is_counted:
            return
        seen.batch_labels = max(seen.batch_labels, len(given))
        of_classes = class_labels(labels)
        if of_classes is not None and len(of_classes):
            classes = seen.setup.classes or _MOST_CLASSES
            self._classes.append(torch.bincount(of_classes.clamp(0, classes - 1), minlength=classes))

    def take(self) -> list[Tensor]:
        """Return the losses and forget them."""
        waiting, self.losses = self.losses, []
        return waiting

    def collect(self, losses: list[Tensor], seen: Observations) -> None:
        """Move ``losses`` and the classes of batches to ``seen``, each in one transfer."""
        if losses:
            on_device = torch.stack([each.float().to(losses[0].device) for each in losses])
            seen.losses = np.concatenate([seen.losses, on_device.cpu().numpy().astype(np.float64)])
        batches, self._classes = self._classes, []
        if batches:
            counts = torch.stack(batches)
            total = counts.sum(0, keepdim=True)
            *by_batch, together = torch.cat([counts, total]).count_nonzero(1).tolist()
            seen.batch_classes += by_batch
            seen.mixed_classes = max(seen.mixed_classes, together)
            now = total[0].tolist()
            seen.class_counts = [a + b for a, b in zip_longest(seen.class_counts, now, fillvalue=0)]
