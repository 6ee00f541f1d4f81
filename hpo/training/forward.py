"""One forward pass as a training runs it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpo.training.precision import Resolved, autocast
from hpo.training.users_network import refuse_output


def logits_of(
    model: nn.Module,
    images: Tensor,
    device: torch.device,
    precision: Resolved,
    classes: int | None = None,
) -> Tensor:
    """Run ``model`` on images (B, C, H, W), channels last; return logits (B, classes) float32.

    Raises ``ConfigurationError`` if it returns something else, perhaps in one mode or for one batch only.
    """
    with autocast(device, precision):
        output = model(images)
    mode = "training" if model.training else "evaluation"
    return refuse_output(output, len(images), classes, mode).float()
