"""Evaluation against one straightforward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo.training import evaluate as module
from hpo.training.evaluate import evaluate

Make = Callable[..., tuple[Any, ...]]


@pytest.mark.parametrize("batch", [7, 40, 1000])
def test_loss_and_accuracy_are_those_of_the_whole_set_at_once(
    batch: int, make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.EVALUATION_BATCH, "cpu", batch)
    _, data = make_tiny()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    images, labels = data.val.first(len(data.val))
    logits = net(images).detach().double().numpy()
    likelihood = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected_loss = -np.log(likelihood[np.arange(40), labels.numpy()]).mean()
    result = evaluate(net, data.val, "fp32")
    assert result.loss == pytest.approx(expected_loss, rel=1e-5)
    assert result.accuracy == pytest.approx((logits.argmax(1) == labels.numpy()).mean())
    assert list(result.predicted_counts) == np.bincount(logits.argmax(1), minlength=10).tolist()


@pytest.mark.parametrize("training", [True, False])
def test_it_runs_in_evaluation_mode_and_restores_the_mode(training: bool, make_tiny: Make) -> None:
    _, data = make_tiny()
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3072), nn.Dropout(0.5), nn.Linear(3072, 10)).train(
        training
    )
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert evaluate(net, data.val, "fp32") == evaluate(net, data.val, "fp32")
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert net.training is training
    assert not any(p.requires_grad is False for p in net.parameters())


def test_bf16_is_close_to_fp32(make_tiny: Make) -> None:
    _, data = make_tiny()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 900, 10))
    assert evaluate(net, data.val, "bf16").loss == pytest.approx(
        evaluate(net, data.val, "fp32").loss, rel=0.02
    )


def test_a_network_of_nans_has_a_loss_of_nan(make_tiny: Make) -> None:
    _, data = make_tiny()
    net: Any = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    nn.init.constant_(net[1].weight, float("nan"))
    assert np.isnan(evaluate(net, data.val, "fp32").loss)
