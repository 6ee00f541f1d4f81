"""How trials failed and what that says, as text at two widths and as JSON."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from hpo.cli.app import run_command
from hpo.cli.database import results
from hpo.cli.views.diagnosis import print_diagnosis
from hpo.config.image_format import STANDARD
from hpo.config.parsing.load import parse_study
from hpo.data.division import DRAWN
from hpo.queue.leases import claim
from hpo.queue.slots import register_study
from hpo.records import Outcome
from hpo.reporting.failures import FailureGroup
from hpo.storage.store import ResultsStore

STUDY = """\
study: made-up
trials: 24
fixed: {dataset: synthetic}
space:
  lr: {log: [1.0e-4, 1.0]}
"""
EXPLODED = Outcome("pruned", verdict="exploded: loss 9 at step 20", cause="exploding_loss")


class _Images:
    name = "synthetic"
    fingerprint = "f" * 64
    origin = "ten drawn classes"
    classes = tuple("0123456789")
    train_labels = range(20_000)
    class_counts = (2_000,) * 10
    division = DRAWN
    format = STANDARD


@pytest.fixture(scope="module")
def exploding(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study whose trials exploded above lr 0.1, and were good below."""
    return _exploding(f"sqlite:///{tmp_path_factory.mktemp('exploding') / 'hpo.db'}", STUDY)


def _exploding(url: str, study: str) -> str:
    spec = parse_study(study, "made-up.yaml")
    with ResultsStore(url) as store:
        study_id = register_study(store, spec, cast(Any, _Images()))
        for i in range(24):
            lr = 10 ** (-4 + 4 * i / 23)
            lease = claim(store, study_id, "host:1:w", lease_seconds=3600)
            assert lease is not None
            configuration = spec.configuration({"lr": lr}).applicable()
            trial_id, _ = store.begin_trial(
                lease, params={}, distributions={}, configuration=configuration, device="cpu"
            )
            good = Outcome("complete", value=0.5 - lr, verdict="healthy", cause="healthy")
            store.finish_trial(lease, trial_id, EXPLODED if lr > 0.1 else good)
    return url


@pytest.mark.parametrize(
    ("group", "text"),
    [
        (
            FailureGroup("exploding_loss", "exploded", (1, 5), 0.5, 2.0),
            "exploded: 2 trials, lr 0.5 to 2 (number 1, 5)",
        ),
        (FailureGroup("error", "error", (4,), 0.1, 0.1), "error: 1 trial, lr 0.1 (number 4)"),
        (
            FailureGroup("bad_init", "bad initialization", tuple(range(10)), None, None),
            "bad initialization: 10 trials (number 0, 1, 2, 3, 4, 5, 6, 7 ...)",
        ),
    ],
)
def test_failure_group_prints_as_a_line(group: FailureGroup, text: str) -> None:
    assert str(group) == text


def shown(url: str, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False)
    with console.capture() as capture, results(url) as engine:
        print_diagnosis(console, engine, "made-up")
    return [line.rstrip() for line in capture.get().splitlines()]


EXPECTED = [
    "",
    "problems",
    "  exploded: 6 trials (number 18, 19, 20, 21, 22, 23)",
    "",
    "findings about the study",
    "  warn  lr above 0.1: 6 of 6 exploded; elsewhere 0 of 18",
    "        try: narrow lr to {log: [1e-4, 0.1]}",
]


def test_failures_with_a_place_are_reported_without_a_range(exploding: str) -> None:
    assert shown(exploding, 200)[: len(EXPECTED)] == EXPECTED


def test_findings_of_a_staged_study_name_the_stage(tmp_path: Path) -> None:
    stages = "stages: [{name: coarse, trials: 24}, {name: fine, trials: 4}]"
    url = _exploding(f"sqlite:///{tmp_path / 'hpo.db'}", STUDY.replace("trials: 24", stages))
    titles = [line for line in shown(url, 200) if line and not line.startswith(" ")]
    assert titles[:2] == [
        "problems in stage coarse",
        "findings about the study, judged by its trials in stage coarse",
    ]


def test_on_80_columns_a_finding_wraps_below_its_text(exploding: str) -> None:
    lines = shown(exploding, 80)
    assert lines[: len(EXPECTED)] == EXPECTED
    noise = next(i for i, line in enumerate(lines) if line.startswith("  note  the best"))
    assert lines[noise + 1].startswith("        ") and lines[noise + 1][8] != " "
    assert all(len(line) <= 80 for line in lines)


def test_the_same_as_json(exploding: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["status", "made-up", "--json", "--storage", exploding]) == 0
    study = json.loads(capsys.readouterr().out)
    assert study["unwell"] == [
        {"cause": "exploding_loss", "label": "exploded", "numbers": [18, 19, 20, 21, 22, 23],
         "lowest_lr": None, "highest_lr": None}
    ]  # fmt: skip
    first = study["study_findings"][0]
    assert (first["check"], first["severity"]) == ("failures", "warn")
    assert first["change"] == {"space": {"lr": {"log": [1e-4, 0.1]}}}
    assert first["evidence"]["hits"] == 6


def test_a_study_without_findings_shows_nothing(demo: str) -> None:
    console = Console(file=io.StringIO(), width=80, markup=False)
    with console.capture() as capture, results(demo) as engine:
        print_diagnosis(console, engine, "demo")
    assert "findings about the study" not in capture.get()


def test_it_is_shown_without_loading_pytorch() -> None:
    code = "import hpo.cli.views.diagnosis, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
