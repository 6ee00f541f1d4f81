"""A training that is stopped anywhere goes on, elsewhere, to the same weights bit for bit."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.config.configuration import Configuration
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.training import batches
from hpo.training.batches import EpochBatches
from hpo.training.data import TrialData, weights_hash
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.optim import build_optimizer
from hpo.training.state import EpochState

Make = Callable[..., tuple[Configuration, TrialData]]
CPU = torch.device("cpu")
KEY = Key(11) / "trial" / 3

CONFIGURATIONS: list[dict[str, Any]] = [
    {"schedule": "one_cycle", "dropout": 0.3, "augmentation": "flip_crop"},
    {"optimizer": "adamw", "lr": 1e-3, "activation": "rrelu", "warmup_epochs": 1.5},
    {"optimizer": "adam", "lr": 1e-3, "batch_norm": "after", "label_smoothing": 0.1, "schedule": "cosine"},
    {"optimizer": "rmsprop", "lr": 1e-3, "dropout": 0.2, "dropout_kind": "spatial"},
    {"optimizer": "adagrad", "augmentation": "flip_crop_cutout", "gradient_clip": 0.5, "l1": 1e-5},
    {"nesterov": True, "max_norm": 2.0, "activation": "maxout", "schedule": "step", "warmup_epochs": 1},
]
STEPS = 9


class _Watch:
    interval = 2

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[float]]] = []

    def on_steps(self, step: int, losses: Tensor) -> None:
        self.calls.append((step, losses.tolist()))


class _StopError(Exception):
    pass


class _Keeper:
    """Keeps the state after ``stop`` steps as bytes, and ends the training."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, stop: int) -> None:
        self._training = (model, optimizer)
        self._left = stop
        self.kept = b""

    def is_due(self) -> bool:
        self._left -= 1
        return self._left == 0

    def keep(self, state: EpochState) -> None:
        model, optimizer = self._training
        buffer = io.BytesIO()
        torch.save((model.state_dict(), optimizer.state_dict(), vars(state)), buffer)
        self.kept = buffer.getvalue()
        raise _StopError


def _begin(configuration: Configuration, data: TrialData, key: Key = KEY) -> tuple[nn.Module, Optimizer]:
    model = build_model(configuration, classes=10, key=key / "weights", sample=data.train.first(32)[0])
    model = model.to(memory_format=torch.channels_last)
    return model, build_optimizer(model, configuration)


def _whole(configuration: Configuration, data: TrialData) -> tuple[str, list[EpochResult], _Watch]:
    model, optimizer = _begin(configuration, data)
    watch = _Watch()
    results = list(train(configuration, model, data, KEY, CPU, "bf16", watch=watch, optimizer=optimizer))
    return weights_hash(model), results, watch


def _stopped(
    configuration: Configuration, data: TrialData, stop: int
) -> tuple[str, list[EpochResult], _Watch]:
    """The same, stopped after ``stop`` steps; what is kept goes into another network's training."""
    model, optimizer = _begin(configuration, data)
    watch, keeper, results = _Watch(), _Keeper(model, optimizer, stop), []
    first = train(
        configuration, model, data, KEY, CPU, "bf16", watch=watch, optimizer=optimizer, keeper=keeper
    )
    with pytest.raises(_StopError):
        for result in first:
            results.append(result)
    weights, moments, state = torch.load(io.BytesIO(keeper.kept), weights_only=True)

    model, optimizer = _begin(configuration, data, Key(99))
    torch.rand(7)  # the global generator is somewhere else
    model.load_state_dict(weights)
    optimizer.load_state_dict(moments)
    start = EpochState(**state)
    results += train(
        configuration, model, data, KEY, CPU, "bf16", watch=watch, optimizer=optimizer, start=start
    )
    return weights_hash(model), results, watch


def _numbers(results: list[EpochResult]) -> list[dict[str, Any]]:
    timed = ("seconds", "images_per_second")
    return [{name: v for name, v in asdict(each).items() if name not in timed} for each in results]


@pytest.mark.parametrize("stop", [1, 5, 6, STEPS])  # after 3, 6 and 9 an epoch's steps are done
@pytest.mark.parametrize("fields", CONFIGURATIONS, ids=lambda fields: "-".join(map(str, fields.values())))
def test_a_stopped_training_ends_as_if_nothing_had_happened(
    fields: dict[str, Any], stop: int, make_tiny: Make
) -> None:
    configuration, data = make_tiny(epochs=3, **fields)
    weights, results, watch = _whole(configuration, data)
    again, resumed, watched = _stopped(configuration, data, stop)
    assert again == weights
    assert _numbers(resumed) == _numbers(results)
    assert watched.calls == watch.calls


def test_time_spent_before_the_stop_counts(make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=1)
    state = EpochState(epoch=1, steps=2, losses=torch.ones(2), watched=2, correct=3, seconds=1000.0)
    model, optimizer = _begin(configuration, data)
    (result,) = train(
        configuration, model, data, KEY, CPU, "fp32", watch=_Watch(), optimizer=optimizer, start=state
    )
    assert result.seconds > 1000
    assert result.images_per_second == pytest.approx(96 / 1000, rel=0.1)


@pytest.mark.parametrize("first", range(4))
def test_batches_made_together_go_on_in_their_middle(
    first: int, make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an accelerator, where the generator is ahead of the batch that is trained on."""
    monkeypatch.setitem(batches._BATCHES_AT_ONCE, "cpu", 2)
    configuration, data = make_tiny(augmentation="flip_crop_cutout", batch_size=24)
    whole = EpochBatches(configuration, data.train, KEY, 1)
    expected = [images for images, _ in whole]
    begun = EpochBatches(configuration, data.train, KEY, 1)
    for _, _pair in zip(range(first), begun, strict=False):
        pass
    rest = EpochBatches(configuration, data.train, KEY, 1, first, begun.augmentation_at(first))
    found = [images for images, _ in rest]
    assert len(found) == 4 - first
    assert all(torch.equal(*pair) for pair in zip(found, expected[first:], strict=True))
