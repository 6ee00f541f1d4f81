"""Stop when the loss becomes NaN or infinite, or exceeds three times the first.

Source: CS231n lecture 6: "cost > 3 * original cost: stop, it has exploded".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hpo.checks.base import Finding

FACTOR = 3.0


@dataclass
class ExplodingLoss:
    """Reads the training losses in the order of their steps; remembers the first.

    The threshold is three times the larger of the first loss and ln C, so that a lucky first batch cannot
    make it strict; what is compared is the mean over the losses given at once, so that one wild batch does
    not stop a sound trial.
    """

    classes: int
    lr: float
    first: float | None = field(default=None, init=False)

    @property
    def threshold(self) -> float:
        """In nats; infinite before the first loss is known."""
        return math.inf if self.first is None else FACTOR * max(self.first, math.log(self.classes))

    def read(self, step: int, losses: np.ndarray) -> Finding | None:
        """A fatal finding, or None; ``losses`` (k,) are those of the steps up to ``step`` (0-based)."""
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            at = step - len(losses) + 1 + int(bad[0])
            return self._fatal(float(losses[bad[0]]), at, f"the loss became {losses[bad[0]]} at step {at}")
        if self.first is None:
            self.first = float(losses[0])
        mean = float(losses.mean())
        if mean > self.threshold:
            what = (
                f"the loss reached {mean:.3g} by step {step}, over {FACTOR:g} x the first ({self.first:.3g})"
            )
            return self._fatal(mean, step, what)
        return None

    def _fatal(self, value: float, step: int, message: str) -> Finding:
        lower = f"lower lr to {self.lr / 3:.2g} or less (it was {self.lr:.3g})"
        remedy = f"{lower}, or add warmup_epochs or gradient_clip"
        return Finding("exploding_loss", "fatal", value, self.threshold, message, remedy, step=step)

    def passed(self, steps: int) -> Finding:
        """What to record when training ended without an explosion."""
        message = f"stayed below {self.threshold:.3g} for {steps} steps"
        return Finding("exploding_loss", "pass", self.first or 0.0, self.threshold, message, step=steps)
