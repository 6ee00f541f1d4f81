"""Schedules against torch's own, stepped once per step, and against closed forms."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from hpo.config.configuration import Configuration
from hpo.training.schedules import SCHEDULES, learning_rate

LR, PER_EPOCH = 0.4, 7


def _ours(configuration: Configuration, per_epoch: int = PER_EPOCH) -> list[float]:
    return [learning_rate(configuration, step, per_epoch) for step in range(configuration.epochs * per_epoch)]


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)


def _stepped(optimizer: torch.optim.Optimizer, scheduler: Any, steps: int) -> list[float]:
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's SequentialLR warns about its own use of its steps
        for _ in range(steps):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            scheduler.step()
    return rates


def test_constant() -> None:
    assert _ours(Configuration(lr=LR, schedule="constant", epochs=3)) == [LR] * 21


def test_step_is_torchs() -> None:
    optimizer = _optimizer()
    scheduler = lr_scheduler.StepLR(optimizer, step_size=2 * PER_EPOCH, gamma=0.3)
    configuration = Configuration(lr=LR, schedule="step", step_epochs=2, lr_decay=0.3, epochs=7)
    np.testing.assert_allclose(_ours(configuration), _stepped(optimizer, scheduler, 49), rtol=1e-9)


def test_exponential_is_torchs_at_each_epoch_and_smooth_between() -> None:
    optimizer = _optimizer()
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
    ours = _ours(Configuration(lr=LR, schedule="exponential", lr_decay=0.8, epochs=6))
    np.testing.assert_allclose(ours[::PER_EPOCH], _stepped(optimizer, scheduler, 6), rtol=1e-9)
    np.testing.assert_allclose(np.diff(np.log(ours)), np.log(0.8) / PER_EPOCH, rtol=1e-9)


def test_inverse_time_is_its_formula() -> None:
    ours = _ours(Configuration(lr=LR, schedule="inverse_time", lr_decay=0.5, epochs=6))
    np.testing.assert_allclose(ours, LR / (1 + 0.5 * np.arange(42) / PER_EPOCH), rtol=1e-12)


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_is_torchs(final: float) -> None:
    optimizer = _optimizer()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=35, eta_min=LR * final)
    configuration = Configuration(lr=LR, schedule="cosine", final_lr_fraction=final, epochs=5)
    np.testing.assert_allclose(
        _ours(configuration), _stepped(optimizer, scheduler, 35), rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize("final", [0.0, 0.05])
def test_one_cycle_is_torchs_two_linear_legs(final: float) -> None:
    steps, rise = 70, 21
    optimizer = _optimizer()
    up = lr_scheduler.LinearLR(optimizer, start_factor=1 / rise, end_factor=1.0, total_iters=rise - 1)
    down = lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=final, total_iters=steps - rise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[rise])
    configuration = Configuration(lr=LR, schedule="one_cycle", final_lr_fraction=final, epochs=10)
    np.testing.assert_allclose(_ours(configuration), _stepped(optimizer, scheduler, steps), rtol=1e-7)


def test_one_cycle_rises_over_the_warm_up_if_there_is_one() -> None:
    ours = _ours(Configuration(lr=LR, schedule="one_cycle", warmup_epochs=2, epochs=10))
    assert int(np.argmax(ours)) == 2 * PER_EPOCH - 1


def test_triangular_joins_its_three_points() -> None:
    """The recipe's own numbers: Jordan 2024, listing 4."""
    configuration = Configuration(
        lr=LR,
        schedule="triangular",
        initial_lr_fraction=0.2,
        peak_position=0.25,
        final_lr_fraction=0.07,
        epochs=8,
    )
    steps = np.arange(8 * PER_EPOCH)
    expected = LR * np.interp(steps, [0, 2 * PER_EPOCH, 8 * PER_EPOCH], [0.2, 1, 0.07])
    np.testing.assert_allclose(_ours(configuration), expected, rtol=1e-12)


@pytest.mark.parametrize(("position", "ends"), [(0.0, (1.0, 0.5)), (1.0, (0.5, 1.0))])
def test_a_triangle_may_have_one_leg(position: float, ends: tuple[float, float]) -> None:
    fields: dict[str, Any] = {"initial_lr_fraction": 0.5, "final_lr_fraction": 0.5}
    rates = _ours(Configuration(lr=LR, schedule="triangular", peak_position=position, epochs=4, **fields))
    line = np.linspace(*ends, 4 * PER_EPOCH + 1)[:-1]
    np.testing.assert_allclose(rates, LR * line, rtol=1e-12)


@pytest.mark.parametrize("schedule", [each for each in SCHEDULES if each != "triangular"])
def test_warm_up_is_linear_and_the_schedule_starts_after_it(schedule: str) -> None:
    fields: dict[str, Any] = {"lr": LR, "schedule": schedule, "lr_decay": 0.5, "step_epochs": 2}
    warm = _ours(Configuration(**fields, warmup_epochs=1.5, epochs=6))  # 1.5 * 8 = 12 steps of 48
    assert learning_rate(Configuration(**fields, warmup_epochs=1.5, epochs=6), 0, 8) == pytest.approx(LR / 12)
    rising = [
        learning_rate(Configuration(**fields, warmup_epochs=1.5, epochs=6), step, 8) for step in range(12)
    ]
    np.testing.assert_allclose(rising, LR * np.arange(1, 13) / 12, rtol=1e-12)
    assert learning_rate(Configuration(**fields, warmup_epochs=1.5, epochs=6), 12, 8) == pytest.approx(LR)
    assert max(warm) <= LR


@pytest.mark.parametrize("schedule", ["constant", "step", "exponential", "inverse_time"])
def test_the_clock_of_a_schedule_starts_after_the_warm_up(schedule: str) -> None:
    fields: dict[str, Any] = {"lr": LR, "schedule": schedule, "lr_decay": 0.5, "step_epochs": 2}
    cold = _ours(Configuration(**fields, epochs=5))
    warm = _ours(Configuration(**fields, warmup_epochs=1, epochs=6))
    np.testing.assert_allclose(warm[PER_EPOCH:], cold, rtol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("epochs", "per_epoch"), [(1, 1), (2, 1), (1, 3)])
def test_the_shortest_trainings_have_a_rate_above_zero(schedule: Any, epochs: int, per_epoch: int) -> None:
    rates = _ours(Configuration(lr=LR, schedule=schedule, epochs=epochs), per_epoch)
    assert all(0 < rate <= LR for rate in rates)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_over_the_whole_training(schedule: Any) -> None:
    rates = _ours(Configuration(lr=LR, schedule=schedule, warmup_epochs=2, epochs=2))
    np.testing.assert_allclose(rates, LR * np.arange(1, 15) / 14, rtol=1e-12)
