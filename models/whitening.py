"""A first layer of filters that whiten patches of the training images (Coates & Ng 2012; Jordan 2024).

With patches x of the covariance E diag(v) E', the filters e_i / sqrt(v_i + eps) have outputs that are
uncorrelated and, without eps, of variance 1. Each filter comes with both signs, so that a nonlinearity loses
no half of an output. The covariance is about 0, not about the mean, as in the published code: preprocessing
has centered the images, and the layer has a bias.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH_SIDE = 2
MOST_IMAGES = 5000
"""Of which the covariance is taken. Jordan 2024."""


def filter_count(channels: int) -> int:
    """Return the number of filters for images of so many channels: 24 for color, 8 for gray."""
    return 2 * channels * PATCH_SIDE**2


class WhitenedPatches(nn.Module):
    """Images (B, C, H, W) to (B, ``filter_count(C)``, H - 1, W - 1). The filters are 0 until ``fit``.

    With ``keep_size`` a row and a column of zeros are added first. ``variances`` are those of the patches
    along the filters, the largest first. ``weight`` is a buffer if it is never trained. No initializer
    changes it.
    """

    weight: Tensor
    bias: nn.Parameter | None
    variances: Tensor

    def __init__(self, channels: int, epsilon: float, *, trained: bool, bias: bool, keep_size: bool) -> None:
        super().__init__()
        count = filter_count(channels)
        filters = torch.zeros(count, channels, PATCH_SIDE, PATCH_SIDE)
        if trained:
            self.weight = nn.Parameter(filters)
        else:
            self.register_buffer("weight", filters)
        self.bias = nn.Parameter(torch.zeros(count)) if bias else None
        self.epsilon = epsilon
        self.keep_size = keep_size
        self.register_buffer("variances", torch.zeros(count // 2))

    def forward(self, x: Tensor) -> Tensor:
        """Filter every patch."""
        if self.keep_size:
            x = F.pad(x, (0, 1, 0, 1))
        return F.conv2d(x, self.weight, self.bias)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Set the filters to those that whiten the patches of preprocessed images (N, C, H, W) float32."""
        variances, vectors = patch_components(images)
        rows = vectors.T / (variances + self.epsilon).sqrt().unsqueeze(1)
        shape = (len(rows), *self.weight.shape[1:])
        filters = rows.reshape(shape)
        self.weight.copy_(torch.cat([filters, -filters]))
        self.variances.copy_(variances)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {len(self.weight)}, trained={isinstance(self.weight, nn.Parameter)}"


def late_filters(module: nn.Module) -> list[nn.Parameter]:
    """Return the filters of patches in ``module`` that are trained."""
    layers = [each for each in module.modules() if isinstance(each, WhitenedPatches)]
    return [each.weight for each in layers if isinstance(each.weight, nn.Parameter)]


def patch_components(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the principal components of all patches of images (N, C, H, W): variances (d,), vectors (d, d).

    d = C * 2 * 2, the largest variance first, float64. A vector's largest element is positive, so that its
    sign does not depend on the library.
    """
    size = images.shape[1] * PATCH_SIDE**2
    total = torch.zeros(size, size, dtype=torch.float64, device=images.device)
    count = 0
    for chunk in images.split(256):
        patches = F.unfold(chunk.float(), PATCH_SIDE).transpose(1, 2).reshape(-1, size).double()
        total += patches.T @ patches
        count += len(patches)
    variances, vectors = torch.linalg.eigh(total / count)
    variances, vectors = variances.flip(0).clamp(min=0), vectors.flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return variances, vectors * largest.sign()
