"""How long a network takes for an image: what is measured, and what the measurement leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hpo.config.configuration import Configuration
from hpo.config.study import StudySpec
from hpo.rng import Key
from hpo.training import inference
from hpo.training.inference import LEAST, MOST, WARM_UP, milliseconds_per_image
from hpo.training.setup import TrialSetup
from hpo.trial.dry_run import limit_notes

Make = Callable[..., tuple[Any, ...]]


class _Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.BatchNorm2d(3), nn.Linear(3072, 10)
        self.seen: list[tuple[tuple[int, ...], bool, int]] = []

    def forward(self, images: Tensor) -> Tensor:
        torch.rand(1)  # a network may draw, which must not change the training after the measurement
        self.seen.append((tuple(images.shape), self.training, torch.get_num_threads()))
        output: Tensor = self.linear(self.norm(images).flatten(1))
        images.zero_()
        return output


def _setup(make_tiny: Make) -> tuple[TrialSetup, _Counting]:
    _, data = make_tiny()
    net = _Counting()
    return TrialSetup.of(Configuration(), net, data, Key(0), torch.device("cpu"), "fp32"), net


def test_it_is_the_median_of_one_image_at_a_time(make_tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    setup, net = _setup(make_tiny)
    clock = iter([0.0, 0.010, 1.0, 1.002, 2.0, 2.003] + [t for k in range(100) for t in (9.0 + k, 9.003 + k)])
    monkeypatch.setattr(inference, "own_time", lambda device: next(clock))
    assert milliseconds_per_image(setup) == pytest.approx(3.0)
    assert {(shape, training) for shape, training, _ in net.seen} == {((1, 3, 32, 32), False)}
    assert len(net.seen) == WARM_UP + MOST


def test_a_slow_network_is_measured_a_few_times(make_tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    setup, net = _setup(make_tiny)
    clock = iter(float(2 * second) for second in range(1000))
    monkeypatch.setattr(inference, "own_time", lambda device: next(clock))
    assert milliseconds_per_image(setup) == 2000.0
    assert len(net.seen) == WARM_UP + LEAST


def test_it_uses_one_thread_and_changes_nothing(make_tiny: Make) -> None:
    setup, net = _setup(make_tiny)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    image = setup.data.val.first(1)[0].clone()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    assert 0 < milliseconds_per_image(setup) < 1000
    assert {used for _, _, used in net.seen} == {1}
    assert (torch.get_num_threads(), net.training) == (threads, True)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert torch.equal(setup.data.val.first(1)[0], image)


def test_check_notes_a_network_beyond_a_limit(make_tiny: Make) -> None:
    setup, _ = _setup(make_tiny)
    space = {"lr": {"log": [0.01, 0.1]}}
    for limit, expected in [
        ({"parameters": 30_736.0}, []),
        ({"parameters": 30_735.0}, ["30,736 parameters, more than 30,735"]),
        ({"images_per_second": 1e9}, []),
    ]:
        spec = StudySpec.model_validate({"study": "s", "trials": 1, "limit": limit, "space": space})
        found = [each.message.partition(": ")[2] for each in limit_notes(spec, setup)]
        assert found == expected
