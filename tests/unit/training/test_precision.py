"""How fp32 or bf16 is chosen, remembered and explained."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from hpo.errors import DeviceError
from hpo.settings import settings
from hpo.training import precision as module
from hpo.training.precision import Measurement, autocast, explain_precision, measurement, resolve_precision

CPU = torch.device("cpu")
Fake = Callable[[float, float], list[int]]


@pytest.fixture
def fake_speeds(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Fake:
    """Pretend that this CPU has bf16 units and these speeds; the list grows by one with each measurement."""
    monkeypatch.setenv("HPO_CACHE", str(tmp_path_factory.mktemp("cache") / "new"))
    settings.cache_clear()

    def fake(fp32: float, bf16: float) -> list[int]:
        calls: list[int] = []

        def measure(device: torch.device) -> dict[str, float]:
            calls.append(1)
            return {"fp32": fp32, "bf16": bf16}

        monkeypatch.setattr(module, "_measure", measure)
        monkeypatch.setattr(module, "_cpu_flags", lambda: {"avx512_bf16"})
        return calls

    return fake


@pytest.mark.parametrize(("bf16", "expected"), [(90.0, "fp32"), (105.0, "fp32"), (150.0, "bf16")])
def test_auto_takes_bf16_only_where_it_is_clearly_faster(
    bf16: float, expected: str, fake_speeds: Fake
) -> None:
    fake_speeds(100.0, bf16)
    assert resolve_precision("auto", CPU) == expected


def test_a_machine_is_measured_once(fake_speeds: Fake) -> None:
    calls = fake_speeds(100.0, 150.0)
    first = measurement(CPU)
    assert measurement(CPU) == first
    assert resolve_precision("auto", CPU) == "bf16"
    assert len(calls) == 1
    (file,) = settings().cache.iterdir()  # and no temporary file is left
    assert json.loads(file.read_text())["bf16"] == 150.0


def test_another_version_of_torch_is_measured_again(
    fake_speeds: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_speeds(100.0, 150.0)
    measurement(CPU)
    monkeypatch.setattr(torch, "__version__", "99.0")
    measurement(CPU)
    assert len(calls) == 2


@pytest.mark.parametrize("damage", ["", "{", '{"fp32": 1}', "[]", '{"other": 2}'])
def test_a_damaged_cache_file_is_measured_again(damage: str, fake_speeds: Fake) -> None:
    calls = fake_speeds(100.0, 150.0)
    measurement(CPU)
    (file,) = settings().cache.iterdir()
    file.write_text(damage)
    assert measurement(CPU).bf16 == 150.0
    assert len(calls) == 2
    assert json.loads(file.read_text())["bf16"] == 150.0


def test_of_two_workers_that_measure_at_once_the_first_decides(
    fake_speeds: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_speeds(100.0, 150.0)
    first: list[Measurement] = []

    def slow(device: torch.device) -> dict[str, float]:
        if not first:
            monkeypatch.setattr(module, "_measure", lambda device: {"fp32": 100.0, "bf16": 200.0})
            first.append(measurement(CPU))
        return {"fp32": 100.0, "bf16": 50.0}

    monkeypatch.setattr(module, "_measure", slow)
    second = measurement(CPU)
    assert second == first[0]
    assert second.bf16 == 200.0


def test_a_cache_that_cannot_be_written_does_not_stop_the_training(fake_speeds: Fake) -> None:
    fake_speeds(100.0, 150.0)
    settings().cache.write_text("a file where a folder should be")
    assert resolve_precision("auto", CPU) == "bf16"


@pytest.fixture
def without_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cpu_flags", lambda: {"avx2", "fma"})

    def never(device: torch.device) -> Measurement:
        raise AssertionError("measured")

    monkeypatch.setattr(module, "measurement", never)


@pytest.mark.usefixtures("without_units")
def test_without_units_auto_is_fp32_and_nothing_is_measured() -> None:
    assert resolve_precision("auto", CPU) == "fp32"
    assert explain_precision(CPU).startswith("fp32 on cpu: this CPU has no bf16 units")


@pytest.mark.usefixtures("without_units")
def test_forced_bf16_without_units_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"bf16 cannot run on cpu.*precision: auto or fp32"):
        resolve_precision("bf16", CPU)


def test_forced_precision_is_not_measured(fake_speeds: Fake) -> None:
    calls = fake_speeds(100.0, 150.0)
    assert resolve_precision("fp32", CPU) == "fp32"
    assert resolve_precision("bf16", CPU) == "bf16"
    assert not calls


def test_the_explanation_gives_the_numbers(fake_speeds: Fake) -> None:
    fake_speeds(2000.0, 3000.0)
    text = explain_precision(CPU)
    assert text.startswith("bf16 on cpu: bf16 trains the default network at 1.50 x the speed of fp32")
    assert "3,000 against 2,000 images/s" in text


def test_the_measurement_trains_in_both_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUNDS", 0)
    monkeypatch.setattr(module, "_STEPS", 1)
    threads = torch.get_num_threads()
    speeds = module._measure(CPU)
    assert torch.get_num_threads() == threads
    assert set(speeds) == {"fp32", "bf16"}
    assert all(1 < speed < 1e6 for speed in speeds.values())


def test_autocast_is_on_for_bf16_alone() -> None:
    layer, batch = torch.nn.Linear(4, 4), torch.ones(2, 4)
    with autocast(CPU, "bf16"):
        assert layer(batch).dtype == torch.bfloat16
    with autocast(CPU, "fp32"):
        assert layer(batch).dtype == torch.float32
