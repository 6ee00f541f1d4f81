from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hpo.cli import run
from hpo.cli.app import run_command
from hpo.events import RunSummary


@pytest.mark.parametrize(
    ("device", "cores", "gpu", "workers"),
    [
        ("auto", 1, False, 1),
        ("auto", 2, False, 2),
        ("cpu", 64, False, 4),
        ("auto", 64, True, 1),
        ("cpu", 2, True, 2),
        ("cuda:1", 8, False, 1),
        ("mps", 8, False, 1),
    ],
)
def test_default_workers(
    device: str, cores: int, gpu: bool, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(run, "_GPU_DRIVERS", (tmp_path,) if gpu else ())
    assert run.default_workers(device) == workers


def test_options_reach_the_run_and_its_exit_code_comes_back(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def run_study(spec: Any, url: str, **options: Any) -> RunSummary:
        asked.update(options, spec=spec, url=url)
        return RunSummary("demo", 5, 6, True, 1.0, 143)

    monkeypatch.setattr("hpo.workers.local.run_study", run_study)
    options = ["--workers", "3", "--trials", "7", "--set", "epochs=2", "--set", "lr=0.1", "--device", "cpu"]
    assert run_command(["run", "quickstart", *options]) == 143
    assert (asked["workers"], asked["device"], asked["url"]) == (3, "cpu", demo)
    spec = asked["spec"]
    assert (spec.trials, spec.fixed["epochs"], spec.fixed["lr"]) == (7, 2, 0.1)
    assert "stopped: 5 of 6 trials of demo" in capsys.readouterr().out
