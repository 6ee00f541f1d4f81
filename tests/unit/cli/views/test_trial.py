"""The page of `hpo show`: thinned curves, NaN, and the folder of the weights."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from hpo.cli.views.trial import print_trial
from hpo.queries.trial import TrialDetail
from hpo.records import EpochResult, reported_epoch


def trial(epochs: int, best_epoch: int) -> TrialDetail:
    curve = tuple(
        EpochResult(epoch, 1.0, 0.5, float("nan") if epoch == 2 else 1.0, 0.5, 0.1, 1.0, 10, 10.0)
        for epoch in range(1, epochs + 1)
    )
    return TrialDetail(
        study="s", study_uid="u", number=0, trial_id=1, stage="main", slot=0, state="complete", value=0.5,
        test_value=None, best_epoch=best_epoch, verdict="healthy", cause="healthy", second_cause=None,
        confidence=1.0, remedy=None, remedy_change=None, layers=(), error=None, seconds=1.0, parameters=None,
        images_per_second=None, milliseconds=None, weights_hash=None, worker="w", device="cpu",
        started_at=datetime(2026, 1, 1),
        ended_at=None, configuration={}, searched=(), curve=curve, findings=(), attempts=(),
    )  # fmt: skip


def shown_epochs(epochs: int, best_epoch: int, capsys: pytest.CaptureFixture[str]) -> tuple[list[int], str]:
    print_trial(trial(epochs, best_epoch), None)
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("epoch"))
    rows = [line.split() for line in lines[start + 1 :] if line.split()]
    return [int(row[0]) for row in rows if row[1] == "0.5000"], lines[-1].strip()


def test_short_curve_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown_epochs(24, 24, capsys)[0] == list(range(1, 25))


def test_long_curve_is_thinned_around_ends_and_best(capsys: pytest.CaptureFixture[str]) -> None:
    epochs, caption = shown_epochs(240, 133, capsys)
    assert len(epochs) == 26
    assert {1, 133, 240} <= set(epochs)
    assert max(later - earlier for earlier, later in pairwise(epochs)) <= 10
    assert caption == "26 of 240 epochs; all of them: `hpo show --json`, or the view curves"


def test_nan_loss_is_marked_in_sparkline_and_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_trial(trial(3, 3), None)
    out = capsys.readouterr().out
    assert "val_loss     ▁!▁  1.000 to 1.000" in out
    assert "nan" in out


def test_trial_page_names_the_folder_of_its_weights(capsys: pytest.CaptureFixture[str]) -> None:
    print_trial(trial(1, 1), Path("/kept/uid/trial-0-1"))
    assert "weights: /kept/uid/trial-0-1" in capsys.readouterr().out.splitlines()


def test_trial_without_fixed_values_has_no_heading_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    of_own_training = replace(trial(1, 1), configuration={"lr": 0.1}, searched=("lr",))
    print_trial(of_own_training, None)
    assert "fixed or default" not in capsys.readouterr().out
    print_trial(replace(of_own_training, configuration={"lr": 0.1, "epochs": 2}), None)
    assert "fixed or default" in capsys.readouterr().out


def test_a_trial_of_other_metrics_shows_those_that_it_reported(capsys: pytest.CaptureFixture[str]) -> None:
    curve = tuple(reported_epoch(epoch, {"val_loss": 0.5, "recall": 0.25 * epoch}, 1.0) for epoch in (1, 2))
    shown = replace(trial(2, 2), curve=curve, objective="recall", value=0.5)
    print_trial(shown, None)
    out = capsys.readouterr().out
    assert "complete  recall 0.5000" in out
    (head,) = (line.split() for line in out.splitlines() if line.startswith("epoch"))
    assert head == ["epoch", "val_loss", "recall", "time"]
    assert "0.2500 to 0.5000" in out and "images/s" not in out
