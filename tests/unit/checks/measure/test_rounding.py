"""What bf16 rounds away is no layer that answers every image alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpo.checks.rules.lost_signal import lost_signal
from hpo.records import Finding
from tests.helpers.observed import LIMITS, seen
from tests.unit.checks.measure.test_preflight import Parts, examined


def in_bf16(model: nn.Module, images: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits: Tensor = model(images)
    return logits.float()


def _found(model: Parts) -> tuple[list[Finding], float]:
    facts = examined(model, forward=in_bf16)
    return lost_signal(seen(preflight=facts), LIMITS), facts.layers.layers[0].constant_outputs


def _faint() -> Parts:
    """Outputs of about 1 that differ by 1e-5: bf16 has steps of 4e-3 there."""
    model = Parts()
    with torch.no_grad():
        model.conv.weight.mul_(1e-5)
        assert model.conv.bias is not None
        model.conv.bias.fill_(1.0)
    return model


def test_rounding_outputs_that_differ_in_fp32_alone_are_not_lost() -> None:
    model = _faint()
    with torch.no_grad():
        images = torch.randn(40, 3, 8, 8)
        assert len(in_bf16(model.conv, images).flatten(2)[:, 0].unique()) == 1
    assert _found(model) == ([], 0.0)


def test_rounding_outputs_that_are_the_same_in_fp32_too_are() -> None:
    model = _faint()
    model.conv.register_forward_pre_hook(lambda _, inputs: torch.zeros_like(*inputs))
    found, constant_outputs = _found(model)
    assert [(each.cause, each.layer) for each in found] == [
        ("ignores_input", "conv")
    ] and constant_outputs == 1.0


def test_rounding_the_network_is_left_as_it_is() -> None:
    model = _faint()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    _found(model)
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert not model.conv._forward_hooks
