"""A training that is stopped anywhere resumes elsewhere to the same weights, bit for bit."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.training import batches
from hpo.training.batches import EpochBatches
from hpo.training.callbacks import Callback
from hpo.training.data import TrialData, weights_hash
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.precision import Resolved
from hpo.training.setup import TrialSetup
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
    {
        "model": "airbench94",
        "stem": "whitened",
        "stem_frozen_share": 0.34,
        "initializer": "dirac",
        "norm_scale": "frozen",
        "norm_bias_lr_factor": 64,
        "output_scale": 1 / 9,
        "schedule": "triangular",
        "augmentation": "flip",
        "flip": "alternating",
        "translate": 2,
        "decoupled": True,
        "nesterov": True,
        "weight_average": "lookahead",
        "lookahead_steps": 2,
    },
    {"optimizer": "muon", "lr": 0.05, "momentum": 0.9, "nesterov": True, "model": "resnet"},
    {"optimizer": "muon", "rest_optimizer": "sgd", "norm_bias_lr_factor": 4, "model": "mlp"},
    {"weight_average": "swa", "swa_start": 0.3, "eval_views": "2", "dropout": 0.1},
    {"nesterov": True, "max_norm": 2.0, "activation": "maxout", "schedule": "step", "warmup_epochs": 1},
]
STEPS = 9


class _Losses(Callback):
    loss_interval = 2

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[float]]] = []

    def on_steps(self, step: int, losses: Tensor) -> None:
        self.calls.append((step, losses.tolist()))


class _StopError(Exception):
    pass


class _StopAndSave(Callback):
    """Saves the state after ``stop`` steps as bytes, and ends the training."""

    def __init__(self, setup: TrialSetup, stop: int) -> None:
        self._setup = setup
        self._left = stop
        self.saved = b""

    def should_save(self) -> bool:
        self._left -= 1
        return self._left == 0

    def save(self, state: EpochState) -> None:
        buffer = io.BytesIO()
        setup = self._setup
        states = setup.model.state_dict(), setup.optimizer.state_dict(), setup.average.state()
        torch.save((*states, vars(state)), buffer)
        self.saved = buffer.getvalue()
        raise _StopError


def _begin(
    configuration: Configuration, data: TrialData, precision: Resolved = "bf16", weights: Key = KEY
) -> TrialSetup:
    sample, _ = data.train.first(32)
    model = build_model(
        configuration, classes=10, in_shape=STANDARD.shape, key=weights / "weights", sample=sample
    )
    return TrialSetup.of(configuration, model, data, KEY, CPU, precision)


def _whole(configuration: Configuration, data: TrialData) -> tuple[str, list[EpochResult], _Losses]:
    setup, losses = _begin(configuration, data), _Losses()
    results = list(train(setup, [losses]))
    return weights_hash(setup.judged), results, losses


def _stopped(
    configuration: Configuration, data: TrialData, stop: int
) -> tuple[str, list[EpochResult], _Losses]:
    """The same, stopped after ``stop`` steps; what is saved goes into another network's training."""
    setup, losses, results = _begin(configuration, data), _Losses(), []
    saving = _StopAndSave(setup, stop)
    with pytest.raises(_StopError):
        for result in train(setup, [losses, saving]):
            results.append(result)
    weights, moments, average, state = torch.load(io.BytesIO(saving.saved), weights_only=True)

    setup = _begin(configuration, data, weights=Key(99))
    torch.rand(7)  # the global generator is somewhere else
    setup.model.load_state_dict(weights)
    setup.optimizer.load_state_dict(moments)
    setup.average.load(average)
    results += train(setup, [losses], EpochState(**state))
    return weights_hash(setup.judged), results, losses


def _numbers(results: list[EpochResult]) -> list[dict[str, Any]]:
    timed = ("seconds", "images_per_second")
    return [{name: v for name, v in asdict(each).items() if name not in timed} for each in results]


# After 3, 6 and 9 an epoch's steps are done.
@pytest.mark.parametrize("stop", [pytest.param(1, marks=pytest.mark.slow), 5, 6, STEPS])
@pytest.mark.parametrize("fields", CONFIGURATIONS, ids=lambda fields: "-".join(map(str, fields.values())))
def test_train_resumed_after_any_step_gives_the_same_result(
    fields: dict[str, Any], stop: int, make_tiny: Make
) -> None:
    configuration, data = make_tiny(epochs=3, **fields)
    weights, results, losses = _whole(configuration, data)
    again, resumed, resumed_losses = _stopped(configuration, data, stop)
    assert again == weights
    assert _numbers(resumed) == _numbers(results)
    assert resumed_losses.calls == losses.calls


def test_train_counts_the_seconds_before_a_stop(make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=1)
    state = EpochState(epoch=1, steps=2, losses=torch.ones(2), watched=2, correct=3, seconds=1000.0)
    (result,) = train(_begin(configuration, data, "fp32"), start=state)
    assert result.seconds > 1000
    assert result.images_per_second == pytest.approx(96 / 1000, rel=0.1)


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("first", range(4))
def test_augmented_and_mixed_batches_resume_in_their_middle(
    first: int, together: int, make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once as on an accelerator, where the generator is ahead of the batch that is trained on."""
    monkeypatch.setitem(batches._BATCHES_AT_ONCE, "cpu", together)
    everything = {"rotation": 10, "color_jitter": 0.2, "erasing": 0.5, "auto_augment": "randaugment"}
    configuration, data = make_tiny(
        augmentation="flip_crop_cutout", batch_size=24, mixup=0.4, cutmix=1.0, **everything
    )
    make = partial(EpochBatches, configuration, data.train, KEY, 1, classes=10)
    expected = list(make())
    begun = make()
    for _, _pair in zip(range(first), begun, strict=False):
        pass
    found = list(make(first, begun.augmentation_at(first)))
    assert len(found) == 4 - first
    for one, other in zip(found, expected[first:], strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
