"""Preprocessing and network in one module: pixels in, logits out. Also as a program without hpo's code."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from hpo.data.preprocess import Preprocessor

PixelFunction: TypeAlias = Callable[[Tensor], Tensor]
"""Maps images (B, C, H, W) uint8 to logits (B, classes) float32."""

_EXAMPLE_IMAGES = 8


class PixelNetwork(nn.Module):
    """Maps images (B, C, H, W) uint8 to logits (B, classes) float32; evaluates in single precision."""

    def __init__(self, network: nn.Module, preprocessor: Preprocessor) -> None:
        super().__init__()
        self.network = network.eval()
        self._preprocessor = preprocessor

    def forward(self, images: Tensor) -> Tensor:
        pixels = self._preprocessor(images)
        # As in training: another memory format rounds differently.
        logits: Tensor = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return logits.float()


def make_program(model: PixelNetwork, image_shape: tuple[int, ...]) -> bytes:
    """Export the model as a torch.export program (.pt2) for the CPU and images (B, *image_shape) of any B."""
    example = torch.zeros((_EXAMPLE_IMAGES, *image_shape), dtype=torch.uint8)
    # Saving channels_last weights would warn; the convolutions give the same result with contiguous ones.
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with torch.no_grad():
        program = torch.export.export(plain, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()


def users_program(model: PixelNetwork, image_shape: tuple[int, ...], name: str) -> tuple[bytes | None, str]:
    """Return the program of a user's network ``name``, or None and why it has none.

    torch.export does not support all of Python, and it may take what one batch does for what all do.
    """
    try:
        content = make_program(model, image_shape)
        program = load_program(content)
    except Exception as error:  # the user's code
        return None, f"torch.export failed for {name}: {type(error).__name__}: {error}".splitlines()[0]
    for count in (1, _EXAMPLE_IMAGES + 1):
        images = torch.zeros((count, *image_shape), dtype=torch.uint8)
        try:
            logits = program(images)
        except Exception:  # a guard of torch.export
            return None, f"the torch.export program of {name} does not run on a batch of {count}"
        with torch.no_grad():
            if not torch.allclose(logits, model(images), rtol=1e-3, atol=1e-4, equal_nan=True):
                return None, f"the torch.export program of {name} gives other logits on a batch of {count}"
    return content, ""


def load_program(content: bytes) -> PixelFunction:
    """Load a program that ``make_program`` made."""
    module: PixelFunction = torch.export.load(io.BytesIO(content)).module()
    return module
