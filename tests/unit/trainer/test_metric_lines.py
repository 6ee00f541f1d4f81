"""Lines by which a command reports its metrics: what they may hold, and which epochs they are of."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hpo.cli.app import run_command
from hpo.trainer.metric_lines import (
    STDOUT_LINE,
    EpochMetrics,
    ReportedEpochs,
    Tail,
    append_line,
    parse_report,
)


def test_line_has_metrics_and_may_have_an_epoch() -> None:
    assert parse_report('{"hpo": {"epoch": 3, "val_loss": 0.5, "n": 2}}') == EpochMetrics(
        {"val_loss": 0.5, "n": 2.0}, 3
    )
    assert parse_report('{"val_loss": 1e-3}') == EpochMetrics({"val_loss": 0.001})
    not_finite = parse_report('{"hpo": {"a": NaN, "b": null, "c": -Infinity}}').metrics
    assert math.isnan(not_finite["a"]) and math.isnan(not_finite["b"]) and not_finite["c"] == -math.inf


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"hpo": {"a": 1}', "is not JSON"),
        ("[1]", "is not an object"),
        ('{"hpo": {"a": 1}, "b": 2}', "is not an object with metrics"),
        ('{"hpo": {"epoch": 0, "a": 1}}', "has the epoch 0; epochs are whole numbers from 1"),
        ('{"hpo": {"epoch": 1.5, "a": 1}}', "has the epoch 1.5"),
        ('{"hpo": {"epoch": 2}}', "has no metric"),
        ('{"a": "high"}', 'has a: "high", which is not a number'),
        ('{"a": true}', "has a: true, which is not a number"),
        ('{"val accuracy": 1}', "has a metric 'val accuracy'"),
        ('{"hpo": {"a": 1, "a": 2}}', "has 'a' twice"),
        (f'{{"a": 1{"0" * 400}}}', "has a: a number beyond the range of a float"),
        (f'{{"a": 1{"0" * 5000}}}', "is not JSON"),
        (f'{{"a": {"[" * 100_000}', "is not JSON"),
    ],
)
def test_line_that_is_wrong_says_why(line: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_report(line)
    assert problem in str(caught.value)


def test_other_output_does_not_report() -> None:
    assert STDOUT_LINE.match(b'  { "hpo" : {"a": 1}}')
    with_bar = '\r 50 %\r100 %\r{"hpo": {"a": 1}}\r'
    assert STDOUT_LINE.match(with_bar.encode()) and parse_report(with_bar) == EpochMetrics({"a": 1.0})
    for line in (b"hpo", b'{"loss": 1}', b'{"hpo_lr": 1}', b'x {"hpo": {}}', b'"hpo"'):
        assert not STDOUT_LINE.match(line)


def test_epochs_follow_each_other() -> None:
    epochs = ReportedEpochs(budget=5)
    assert [epochs.add(EpochMetrics({"a": 1.0})), epochs.add(EpochMetrics({"a": 2.0}))] == [0, 1]
    assert epochs.add(EpochMetrics({"a": 4.0}, 4)) == 2
    assert epochs.epochs == [{"a": 1.0}, {"a": 2.0}, {}, {"a": 4.0}]
    for number, problem in (
        (3, "cannot follow epoch 4"),
        (4, "is of epoch 4 again: report all"),
        (6, "beyond the budget of 5"),
    ):
        with pytest.raises(ValueError, match=problem):
            epochs.add(EpochMetrics({"a": 1.0}, number))


def test_first_report_of_an_attempt_replaces_epochs(tmp_path: Path) -> None:
    files = [tmp_path / "metrics-1.jsonl", tmp_path / "metrics-2.jsonl"]
    files[0].write_text('{"epoch": 1, "a": 1}\n{"epoch": 2, "a": 2}\n{"epoch": 3, "a": 3}\n{"epoch": 4, "a"')
    files[1].write_text('{"epoch": 3, "a": 30}\n')
    found = ReportedEpochs.of_earlier(files, None)
    assert found.epochs == [{"a": 1.0}, {"a": 2.0}, {"a": 30.0}] and found.are_numbered
    assert found.add(EpochMetrics({"a": 20.0}, 2)) == 1
    assert found.epochs == [{"a": 1.0}, {"a": 20.0}]


def test_reports_without_epochs_start_over_and_none_skips_far(tmp_path: Path) -> None:
    (tmp_path / "metrics-1.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    found = ReportedEpochs.of_earlier([tmp_path / "metrics-1.jsonl"], None)
    assert not found.are_numbered and len(found.epochs) == 2
    assert found.add(EpochMetrics({"a": 3.0})) == 0 and found.epochs == [{"a": 3.0}]
    assert found.add(EpochMetrics({"a": 4.0})) == 1
    with pytest.raises(ValueError, match="is of epoch 20000, which cannot follow epoch 2"):
        found.add(EpochMetrics({"a": 5.0}, 20_000))


def test_tail_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "metrics"
    tail = Tail(file)
    assert tail.lines() == []
    append_line(file, b"one")
    with file.open("ab") as more:
        more.write(b"tw")
    assert tail.lines() == ["one"]
    with file.open("ab") as more:
        more.write(b"o")
    assert tail.lines() == [] and tail.lines(to_end=True) == ["two"]


def test_hpo_report_appends_to_the_trials_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "metrics"
    monkeypatch.setenv("HPO_TRIAL_METRICS", str(file))
    assert run_command(["report", "val_accuracy=0.91", "val_loss=nan", "--epoch", "3"]) == 0
    assert run_command(["report", "val_accuracy=1"]) == 0
    first, second = map(parse_report, file.read_text().splitlines())
    assert (first.epoch, first.metrics["val_accuracy"], second) == (
        3,
        0.91,
        EpochMetrics({"val_accuracy": 1.0}),
    )
    assert math.isnan(first.metrics["val_loss"])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["val_accuracy=high"], "'high' is not a number"),
        (["a=1", "a=2"], "'a=2': write each metric once"),
        (["a", "--epoch", "1"], "'a': write each metric once, e.g. val_accuracy=0.91"),
        (["a-b=1"], "the report has a metric 'a-b'"),
        (["a=1", "--epoch", "0"], "the report has the epoch 0"),
        (["epoch=3"], "the report has the epoch 3.0"),
    ],
)
def test_hpo_report_refuses_what_is_not_a_metric(
    words: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HPO_TRIAL_METRICS", str(tmp_path / "metrics"))
    assert run_command(["report", *words]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "metrics").exists()


def test_hpo_report_outside_of_a_trial_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HPO_TRIAL_METRICS", raising=False)
    assert run_command(["report", "a=1", "--epoch", "2"]) == 2
    assert "metrics are reported by a command that trains a trial" in capsys.readouterr().err
    assert run_command(["report", "a=1", "--storage", "sqlite://"]) == 2
    assert "metrics are reported by a command that trains a trial" in capsys.readouterr().err
    assert run_command(["report", "one", "two"]) == 2
    assert "one study at a time: one two" in capsys.readouterr().err


def test_hpo_report_after_the_trial_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HPO_TRIAL_METRICS", str(tmp_path / "removed" / "metrics"))
    assert run_command(["report", "a=1"]) == 2
    assert capsys.readouterr().err.startswith("error: the trial is over, or $HPO_TRIAL_METRICS is wrong: ")
