"""What code of users changes in a process is set back after their trial."""

from __future__ import annotations

import gc
import io
import locale
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.rng import Key
from hpo.signals import StopRequestedError, StudyStoppedError
from hpo.training.model_factory import build_model, check_model
from hpo.training.process_state import known_parts, preserved, read_state

BACKENDS: Any = torch.backends


def _remove_folder() -> None:
    folder = Path("gone").absolute()
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()


def _disable_loggers() -> None:
    logger = logging.getLogger("hpo.data.cache")
    logger.disabled, logger.propagate = True, False
    logging.getLogger("optuna").setLevel(logging.DEBUG)


def _enable_autocast() -> None:
    torch.set_autocast_enabled("cpu", True)
    torch.set_autocast_dtype("cpu", torch.float16)


SPOILERS: dict[str, tuple[str, Callable[[], object]]] = {
    "default dtype": ("default dtype", lambda: torch.set_default_dtype(torch.float64)),
    "default device": ("default device", lambda: torch.set_default_device("meta")),
    "threads": ("threads", lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "denormals": ("denormal numbers", lambda: torch.set_flush_denormal(True)),
    "determinism": ("deterministic algorithms", lambda: torch.set_deterministic_debug_mode("warn")),
    "cudnn": ("backends", lambda: setattr(BACKENDS.cudnn, "enabled", False)),
    "cudnn benchmark": ("backends", lambda: setattr(BACKENDS.cudnn, "benchmark", True)),
    "cudnn determinism": ("backends", lambda: setattr(BACKENDS.cudnn, "deterministic", True)),
    "onednn": ("backends", lambda: setattr(BACKENDS.mkldnn, "enabled", False)),
    "precision of convolutions": (
        "backends",
        lambda: setattr(BACKENDS.mkldnn.conv, "fp32_precision", "bf16"),
    ),
    "precision": ("precision of matrix products", lambda: torch.set_float32_matmul_precision("medium")),
    "precision of one backend": (
        "backends",
        lambda: setattr(BACKENDS.mkldnn.matmul, "fp32_precision", "bf16"),
    ),
    "gradients": ("gradients", lambda: torch.set_grad_enabled(False)),
    "anomaly": ("anomaly detection", lambda: torch.set_anomaly_enabled(True, check_nan=False)),
    "autocast": ("autocast", _enable_autocast),
    "hook": (
        "global hooks",
        lambda: nn.modules.module.register_module_forward_hook(lambda module, given, out: out * 0),
    ),
    "torch's generator": ("torch's generator", lambda: torch.manual_seed(3)),
    "numpy's generator": ("NumPy's generator", lambda: np.random.seed(3)),
    "python's generator": ("Python's generator", lambda: random.seed(3)),
    "numpy's errors": ("NumPy's errors", lambda: np.seterr(all="raise")),
    "handler": ("signals", lambda: signal.signal(signal.SIGTERM, lambda number, frame: None)),
    "folder": ("working folder", lambda: os.chdir("/")),
    "deleted folder": ("working folder", _remove_folder),
    "new variable": ("environment", lambda: os.environ.update(HPO_ARTIFACTS="/nowhere", NEW="1")),
    "no variables": ("environment", os.environ.clear),
    "path": ("module search path", sys.path.clear),
    "errors of warnings": ("warning filters", lambda: warnings.simplefilter("ignore")),
    "showwarning": ("warning filters", lambda: setattr(warnings, "showwarning", print)),
    "root logger": ("loggers", lambda: logging.basicConfig(level=logging.DEBUG, force=True)),
    "loggers": ("loggers", _disable_loggers),
    "no logs": ("disabled log levels", lambda: logging.disable(logging.CRITICAL)),
    "stdout": ("standard streams", lambda: setattr(sys, "stdout", io.StringIO())),
    "stderr": ("standard streams", lambda: setattr(sys, "stderr", None)),
    "collector": ("garbage collection", gc.disable),
    "recursion": ("recursion limit", lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 10)),
    "locale": ("locale", lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8")),
}


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    locale_before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C")
    with preserved():
        yield
    locale.setlocale(locale.LC_ALL, locale_before)


@pytest.mark.parametrize(("part", "spoil"), SPOILERS.values(), ids=SPOILERS)
def test_preserved_sets_back_what_code_changed(part: str, spoil: Callable[[], object]) -> None:
    parts = known_parts()
    before = read_state(parts)
    with preserved():
        spoil()
        assert not parts[part].same(read_state([part])[part], before[part])
    after = read_state(parts)
    known = before["loggers"].keys()
    after = {**after, "loggers": {name: after["loggers"][name] for name in known}}  # without new ones
    assert [name for name in parts if not parts[name].same(after[name], before[name])] == []


def test_every_part_has_a_test() -> None:
    assert {part for part, _ in SPOILERS.values()} | {"alarm"} == set(known_parts())


def test_preserved_cancels_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    left = signal.setitimer(signal.ITIMER_REAL, 0)  # pytest-timeout's
    try:
        with preserved():
            signal.alarm(100)
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)


def test_preserved_reopens_a_closed_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with preserved():
            file.close()
        assert not sys.stdout.closed
        sys.stdout.flush()


@pytest.mark.parametrize(("error", "kept"), [(StopRequestedError, True), (StudyStoppedError, False)])
def test_preserved_leaves_signals_after_a_signal(error: type[BaseException], kept: bool) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    with pytest.raises(error), preserved():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as `stop_on_signals` does at the first signal
        raise error
    assert (signal.getsignal(signal.SIGTERM) == signal.SIG_DFL) == kept


IMPORTED = """
import os, torch
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_deterministic_debug_mode("error")
os.environ["OF_IMPORT"] = "1"


def build(options, *, in_shape, classes):
    torch.backends.cudnn.deterministic = True
    return nn.Sequential(nn.Flatten(), _Cast(), nn.Linear(in_shape[0] * in_shape[1] * in_shape[2], classes))


class _Cast(nn.Module):
    def forward(self, images):
        return images.double()
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    (tmp_path / "spoiler_19.py").write_text(IMPORTED)
    sys.modules.pop("spoiler_19", None)
    return Configuration(model="spoiler_19:build")


def _settings() -> tuple[object, ...]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    flags = (deterministic, BACKENDS.cudnn.deterministic, os.environ.get("OF_IMPORT"))
    return (torch.get_default_dtype(), *flags)


def test_a_check_of_a_network_leaves_nothing(configuration: Configuration) -> None:
    before = _settings()
    check_model(configuration, classes=3, in_shape=STANDARD.shape)
    assert _settings() == before


def test_what_an_import_sets_holds_in_every_trial(configuration: Configuration) -> None:
    """But hpo's own tensors are of float32."""
    before = _settings()
    for _ in range(2):
        with preserved():
            model = build_model(configuration, classes=3, in_shape=STANDARD.shape, key=Key(0), sample=None)
            assert _settings() == (torch.float32, True, True, "1")
            assert next(model.parameters()).dtype == torch.float64
        assert _settings() == before
