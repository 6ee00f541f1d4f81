"""The training loop: what it computes, what it passes to callbacks, and that it repeats bit for bit."""

from __future__ import annotations

import copy
import json
import math
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.errors import OutOfMemoryError
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.training.batches import EpochBatches
from hpo.training.callbacks import Callback
from hpo.training.data import TrialData, weights_hash
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.precision import Resolved
from hpo.training.schedules import learning_rate
from hpo.training.setup import TrialSetup
from hpo.training.state import EpochState
from tests import helpers
from tests.helpers import forked

Make = Callable[..., tuple[Configuration, TrialData]]
CPU = torch.device("cpu")
KEY = Key(11) / "trial" / 3


class Losses(Callback):
    """Remembers the losses."""

    def __init__(self, interval: int = 2, stop_after: int | None = None) -> None:
        self.loss_interval = interval
        self.calls: list[tuple[int, list[float]]] = []
        self._stop_after = stop_after

    def on_steps(self, step: int, losses: Tensor) -> None:
        self.calls.append((step, losses.tolist()))
        if self._stop_after is not None and step >= self._stop_after:
            raise InterruptedError

    @property
    def values(self) -> list[float]:
        return [loss for _, losses in self.calls for loss in losses]


def _model(configuration: Configuration, data: TrialData, key: Key = KEY) -> nn.Module:
    return build_model(
        configuration,
        classes=10,
        in_shape=STANDARD.shape,
        key=key / "weights",
        sample=data.train.first(32)[0],
    )


def _setup(
    configuration: Configuration,
    data: TrialData,
    key: Key = KEY,
    precision: Resolved = "fp32",
    model: nn.Module | None = None,
) -> TrialSetup:
    model = _model(configuration, data, key) if model is None else model
    return TrialSetup.of(configuration, model, data, key, CPU, precision)


def _train(
    configuration: Configuration,
    data: TrialData,
    key: Key = KEY,
    precision: Resolved = "fp32",
    losses: Losses | None = None,
) -> tuple[nn.Module, list[EpochResult]]:
    setup = _setup(configuration, data, key, precision)
    return setup.model, list(train(setup, [losses or Losses()]))


def test_train_computes_what_a_plain_loop_computes(make_tiny: Make) -> None:
    configuration, data = make_tiny(lr=0.05, weight_decay=1e-2, l1=1e-3, gradient_clip=0.5)
    plain = _model(configuration, data)
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in plain.parameters() if p.ndim > 1], "weight_decay": 1e-2},
            {"params": [p for p in plain.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=0.05,
        momentum=0.9,
    )
    losses, right, step = [], [], 0
    for epoch in (1, 2):
        for images, labels in EpochBatches(configuration, data.train, KEY, epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(configuration, step, 3)
            logits = plain(images.contiguous())
            loss = -logits.log_softmax(1)[range(len(labels)), labels].mean()
            optimizer.zero_grad()
            loss.backward()
            gradients = [(p, p.grad) for p in plain.parameters() if p.grad is not None]
            length = sum(float(g.square().sum()) for _, g in gradients) ** 0.5
            for parameter, gradient in gradients:
                gradient.mul_(min(1.0, 0.5 / length))
                if parameter.ndim > 1:
                    gradient.add_(parameter.detach().sign(), alpha=1e-3)
            optimizer.step()
            losses.append(loss.item())
            right.append((logits.argmax(1) == labels).float().mean().item())
            step += 1
    model, results = _train(configuration, data)
    for name, expected in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], expected, rtol=1e-4, atol=1e-5)
    assert [r.train_loss for r in results] == pytest.approx(
        [sum(losses[:3]) / 3, sum(losses[3:]) / 3], rel=1e-4
    )
    assert [r.train_accuracy for r in results] == pytest.approx([sum(right[:3]) / 3, sum(right[3:]) / 3])


def test_train_sets_training_mode(make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=1)
    expected, _ = _train(configuration, data)
    model = _model(configuration, data).eval()
    list(train(_setup(configuration, data, model=model)))
    assert weights_hash(model) == weights_hash(expected)


def test_train_yields_the_result_of_each_epoch(make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=3, schedule="step", step_epochs=2, lr=0.02)
    _, results = _train(configuration, data)
    assert [r.epoch for r in results] == [1, 2, 3]
    assert [r.lr for r in results] == pytest.approx([0.02, 0.02, 0.002])
    assert all(r.images == 96 for r in results)
    assert all(r.images_per_second > r.images / r.seconds > 0 for r in results)


def test_train_learns_easy_images(make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=12, width=8, lr=0.05)
    _, results = _train(configuration, data)
    assert results[-1].val_accuracy >= 0.95
    assert results[-1].train_loss < 0.3 < results[0].train_loss


def test_train_in_bf16_learns_and_keeps_fp32_weights(make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=12, width=8, lr=0.05)
    model, results = _train(configuration, data, precision="bf16")
    assert results[-1].val_accuracy >= 0.95
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_train_with_the_same_key_gives_the_same_weights(make_tiny: Make) -> None:
    configuration, data = make_tiny(augmentation="flip_crop", dropout=0.3, activation="rrelu")
    first, results = _train(configuration, data)
    torch.rand(5)
    again, repeated = _train(configuration, data)
    other, _ = _train(configuration, data, key=Key(12))
    assert weights_hash(first) == weights_hash(again)
    assert [r.train_loss for r in results] == [r.train_loss for r in repeated]
    assert weights_hash(other) != weights_hash(first)


def test_train_in_another_process_gives_the_same_weights() -> None:
    script = Path(helpers.__file__).with_name("repeated.py")
    output = forked.run([str(script), str(torch.get_num_threads())])
    assert output.returncode == 0, output.stderr
    expected = runpy.run_path(str(script))["hashes"]()
    assert json.loads(output.stdout) == expected
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"schedule": "one_cycle", "dropout": 0.3, "augmentation": "flip_crop"},
        {"optimizer": "adamw", "lr": 1e-3, "activation": "rrelu", "warmup_epochs": 1.5},
        {"optimizer": "rmsprop", "lr": 1e-3},
        {"optimizer": "adagrad"},
    ],
)
def test_train_from_an_epoch_start_gives_the_same_result(fields: dict[str, Any], make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=4, **fields)
    whole, results = _train(configuration, data)

    begun = _setup(configuration, data)
    epochs: Any = train(begun)
    head = [next(epochs), next(epochs)]
    saved = copy.deepcopy((begun.model.state_dict(), begun.optimizer.state_dict()))
    epochs.close()

    resumed = _setup(configuration, data, model=_model(configuration, data, Key(99)))
    resumed.model.load_state_dict(saved[0])
    resumed.optimizer.load_state_dict(saved[1])
    losses = Losses()
    tail = list(train(resumed, [losses], EpochState(3)))
    assert weights_hash(resumed.model) == weights_hash(whole)
    assert [r.epoch for r in tail] == [3, 4]
    assert [r.val_loss for r in head + tail] == [r.val_loss for r in results]
    assert losses.calls[0][0] == 2 * 3 + 1


@pytest.mark.parametrize(
    ("interval", "steps"), [(1, [0, 1, 2, 3, 4, 5]), (2, [1, 2, 4, 5]), (3, [2, 5]), (100, [2, 5])]
)
def test_callback_receives_each_loss_once(interval: int, steps: list[int], make_tiny: Make) -> None:
    configuration, data = make_tiny()
    losses = Losses(interval)
    _, results = _train(configuration, data, losses=losses)
    assert [step for step, _ in losses.calls] == steps
    assert len(losses.values) == 6
    assert sum(losses.values[:3]) / 3 == pytest.approx(results[0].train_loss, rel=1e-6)


def test_callback_that_raises_stops_the_training(make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=5)
    losses = Losses(interval=1, stop_after=4)
    results = []
    with pytest.raises(InterruptedError):
        for result in train(_setup(configuration, data), [losses]):
            results.append(result)
    assert len(results) == 1
    assert len(losses.values) == 5


def test_callback_receives_nan_losses_and_training_continues(make_tiny: Make) -> None:
    configuration, data = make_tiny(lr=1e30, batch_norm="none", schedule="constant")
    losses = Losses()
    _, results = _train(configuration, data, losses=losses)
    assert math.isfinite(losses.values[0])
    assert not math.isfinite(losses.values[-1])
    assert len(results) == 2
    assert not math.isfinite(results[-1].train_loss)


def test_train_label_smoothing_follows_its_formula(make_tiny: Make) -> None:
    """Szegedy et al., CVPR 2016: targets (1 - e) * onehot + e / K."""
    configuration, data = make_tiny(label_smoothing=0.2, epochs=1)
    model = _model(configuration, data)
    images, labels = next(iter(EpochBatches(configuration, data.train, KEY, 1)))
    logs = copy.deepcopy(model)(images).detach().log_softmax(1)
    target = torch.full((32, 10), 0.2 / 10)
    target[range(32), labels] += 0.8
    losses = Losses(interval=1)
    list(train(_setup(configuration, data, model=model), [losses]))
    assert losses.values[0] == pytest.approx(float(-(target * logs).sum(1).mean()), rel=1e-5)


def test_train_keeps_max_norm(make_tiny: Make) -> None:
    configuration, data = make_tiny(max_norm=0.5)
    model, _ = _train(configuration, data)
    weights = [p.detach() for p in model.parameters() if p.ndim > 1]
    assert max(float(w.flatten(1).norm(dim=1).max()) for w in weights) <= 0.5 + 1e-5


def test_train_with_fewer_images_than_a_batch_uses_them_all(make_tiny: Make) -> None:
    configuration, data = make_tiny(batch_size=1000)
    _, results = _train(configuration, data)
    assert [r.images for r in results] == [96, 96]


class Greedy(nn.Module):
    """Asks for a petabyte, or fails as it is told."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(3072, 10)
        self._failure = failure

    def forward(self, images: Tensor) -> Tensor:
        if self._failure is not None:
            raise self._failure
        return self.layer(images.flatten(1)) + torch.empty(2**50, dtype=torch.uint8).sum()


@pytest.mark.parametrize("failure", [None, torch.OutOfMemoryError("CUDA out of memory. Tried ...")])
def test_train_out_of_memory_names_batch_size_and_width(failure: Exception | None, make_tiny: Make) -> None:
    configuration, data = make_tiny(width=7, batch_size=48)
    epochs = train(_setup(configuration, data, model=Greedy(failure)))
    with pytest.raises(OutOfMemoryError, match=r"batch_size 48 at width 7") as caught:
        next(epochs)
    assert caught.value.__context__ is None  # its traceback would keep the activations


class Waits(TorchDispatchMode):
    """Notes every operation for which the host waits for a device: a value or a whole tensor is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.name()
        if name in ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select"):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"augmentation": "flip_crop_cutout", "gradient_clip": 1.0, "l1": 1e-4, "max_norm": 1.0},
        {"optimizer": "adamw", "dropout": 0.3, "label_smoothing": 0.1, "activation": "rrelu"},
        {"optimizer": "rmsprop", "activation": "maxout"},
        {"optimizer": "adagrad", "model": "resnet", "norm": "group"},
    ],
)
def test_train_step_does_not_wait_for_the_device(fields: dict[str, Any], make_tiny: Make) -> None:
    """However many steps an epoch has, the host fetches values as often as with one."""

    def waits(batch_size: int) -> list[str]:
        configuration, data = make_tiny(epochs=1, batch_size=batch_size, **fields)
        epochs = train(_setup(configuration, data), [_EveryStep()])
        with Waits() as mode:
            next(epochs)
        return mode.seen

    assert waits(8) == waits(96)  # 12 steps and 1


def test_train_step_on_preprocessed_images_does_not_wait(make_tiny: Make) -> None:
    def waits(batch_size: int) -> list[str]:
        configuration, data = make_tiny(epochs=1, batch_size=batch_size)
        train_set, val_set = (
            replace(each, pixels=data.preprocessor(each.pixels).half(), preprocessor=None)
            for each in (data.train, data.val)
        )
        data = replace(data, train=train_set, val=val_set)
        epochs = train(_setup(configuration, data), [_EveryStep()])
        with Waits() as mode:
            next(epochs)
        return mode.seen

    assert waits(8) == waits(96)


def test_waits_counts_a_value_fetched_in_each_step(make_tiny: Make) -> None:
    configuration, data = make_tiny(epochs=1, batch_size=8)

    class Fetching(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = super().forward(images)
            logits.mean().item()
            return logits

    model = Fetching(*_model(configuration, data).children())
    with Waits() as mode:
        next(train(_setup(configuration, data, model=model), [_EveryStep()]))
    assert len(mode.seen) >= 12


class _EveryStep(Callback):
    loss_interval = 1


def test_train_passes_other_runtime_errors_through(make_tiny: Make) -> None:
    configuration, data = make_tiny()
    epochs = train(_setup(configuration, data, model=Greedy(RuntimeError("shape"))))
    with pytest.raises(RuntimeError, match="shape"):
        next(epochs)
