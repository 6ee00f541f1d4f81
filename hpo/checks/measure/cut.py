"""Parameters that the output depends on although no gradient passes from it to them: something detaches them.

Drawing or rounding inside a network cuts it too, on purpose; so the way to the inputs must be cut as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hpo.checks.measure.examples import Forward
from hpo.checks.measure.nested import mapped, tensors
from hpo.checks.measure.untouched import undisturbed

_SEED = 0


def cut_parameters(
    model: nn.Module, forward: Forward, inputs: Any, unreached: Mapping[str, nn.Parameter]
) -> tuple[str, ...]:
    """Return those of the ``unreached`` that lie before a cut between the inputs and the first output.

    Empty if a gradient passes from the output to the inputs, or if the output depends on none of them.
    """
    if not unreached or not any(each.is_floating_point() for each in tensors(inputs)):
        return ()
    if _reaches_inputs(model, forward, inputs):
        return ()
    usual = _output(model, forward, inputs)
    if torch.equal(usual, _output(model, forward, mapped(inputs, torch.zeros_like))):
        return ()
    with _changed(unreached.values()):
        other = _output(model, forward, inputs)
    return () if torch.equal(usual, other) else tuple(unreached)


def _reaches_inputs(model: nn.Module, forward: Forward, inputs: Any) -> bool:
    def learnable(tensor: Tensor) -> Tensor:
        return tensor.detach().clone().requires_grad_() if tensor.is_floating_point() else tensor

    given = mapped(inputs, learnable)
    with undisturbed(model, batch_statistics=True), torch.enable_grad():
        torch.manual_seed(_SEED)
        output = forward(model, given)
        if not output.requires_grad:
            return False
        leaves = [each for each in tensors(given) if each.requires_grad]
        found = torch.autograd.grad(output.sum(), leaves, allow_unused=True)
    return any(each is not None for each in found)


def _output(model: nn.Module, forward: Forward, inputs: Any) -> Tensor:
    with torch.no_grad(), undisturbed(model, batch_statistics=True):
        torch.manual_seed(_SEED)
        return forward(model, inputs).detach().clone()


@contextmanager
def _changed(parameters: Any) -> Iterator[None]:
    """Change the parameters inside; they are bit for bit the same afterwards."""
    kept = [(each, each.detach().clone()) for each in parameters]
    try:
        for each, before in kept:
            each.data.copy_(before + 0.1 + 0.1 * torch.rand_like(before))
        yield
    finally:
        for each, before in kept:
            each.data.copy_(before)
