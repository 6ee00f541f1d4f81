"""Babysitter: which checks run when. It only reads and reports; trial.py acts on what it finds.

Source: CS231n lecture 6, "babysitting the learning process".
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.base import Finding
from hpo.checks.exploding_loss import ExplodingLoss
from hpo.checks.initial_loss import initial_loss, regularized_loss
from hpo.checks.learned import learned
from hpo.checks.overfit_small import balanced_examples, overfit_small


class Babysitter:
    """Watches one trial of ``classes`` classes at peak learning rate ``lr``."""

    def __init__(self, classes: int, lr: float) -> None:
        self._classes = classes
        self._lr = lr
        self._loss = ExplodingLoss(classes, lr)
        self._steps = 0

    def before(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        penalty: float | None,
        unregularized: Callable[[nn.Module], torch.optim.Optimizer],
    ) -> list[Finding]:
        """Check the untrained ``model``, which stays as it is.

        ``images`` (n, C, H, W) are preprocessed training images, ``labels`` (n,) theirs; ``penalty`` is what
        regularization adds to the loss, None where it is off; ``unregularized`` makes an optimizer
        without it.
        """
        loss = _data_loss(model, images, labels)
        findings = [initial_loss(loss, self._classes)]
        if penalty is not None:
            findings.append(regularized_loss(loss, penalty))
        if findings[0].severity != "fatal":
            trainee = copy.deepcopy(model)
            few = balanced_examples(labels)
            findings.append(overfit_small(trainee, unregularized(trainee), images[few], labels[few]))
        return findings

    def during(self, step: int, losses: Tensor) -> Finding | None:
        """Read the losses (k,) of the steps up to ``step`` (0-based); a fatal finding says to stop."""
        self._steps = step + 1
        return self._loss.read(step, losses.float().cpu().numpy().astype(np.float64))

    def after(self, best_accuracy: float, images: int) -> list[Finding]:
        """Judge a finished training by its best accuracy on ``images`` validation images."""
        return [
            self._loss.passed(self._steps),
            learned(best_accuracy, self._classes, images, self._lr),
        ]


@torch.no_grad()
def _data_loss(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Cross-entropy in nats in training mode, as the first step sees it; ``model`` keeps its buffers."""
    probe = copy.deepcopy(model).train()
    for module in probe.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    return float(F.cross_entropy(probe(images).float(), labels))
