"""The speed that doctor measures."""

from __future__ import annotations

import pytest
import torch

from hpo.training import speed as module
from hpo.training.precision import STEP_IMAGES
from hpo.training.speed import Speed, measure_speed, pool_speed

CPU = torch.device("cpu")


def test_a_measurement_is_sane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUNDS", 1)
    monkeypatch.setattr(module, "_STEPS", 1)
    threads = torch.get_num_threads()
    found = measure_speed(CPU, "fp32")
    assert torch.get_num_threads() == threads
    assert 1 < found.images_per_second < 1e6
    assert 0 < found.share < 1.5
    assert 0 < found.undisturbed <= 1


@pytest.mark.parametrize(("cores", "speed"), [(0.5, 500.0), (1.0, 1000.0), (2.0, 2000.0)])
def test_pool_speed_is_that_of_the_usable_cores(
    cores: float, speed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "measure_speed", lambda *_: Speed("fp32", 1000.0, 0.5, 1.0))
    monkeypatch.setattr(module, "resolve_precision", lambda *_: "fp32")
    monkeypatch.setattr(module, "resolve_device", lambda _: CPU)
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    monkeypatch.setattr("hpo.training.cores.available_cores", lambda: max(1, int(cores)))
    assert pool_speed() == speed


def test_the_share_is_operations_over_those_of_a_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a step of 1,000 matrix products of 64 in 2 s, and a product of 1024 in half a second."""
    small = torch.ones(64, 64)

    def step() -> None:
        for _ in range(1000):
            small @ small

    monkeypatch.setattr(module, "default_step", lambda device, precision: step)
    seconds = {module._STEPS: 2.0 * module._STEPS, 1: 0.5}
    monkeypatch.setattr(module, "_seconds", lambda device, work, times: seconds[times])
    found = measure_speed(CPU, "fp32")
    assert found.images_per_second == pytest.approx(STEP_IMAGES / 2)
    assert found.share == pytest.approx((1000 * 2 * 64**3 / 2.0) / (2 * 1024**3 / 0.5))
