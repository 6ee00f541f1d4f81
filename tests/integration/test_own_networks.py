"""Networks of one's own: `hpo check` runs what a trial runs, and a stopped trial resumes bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import hpo.training.loop
from hpo import heartbeat
from hpo.cli.app import run_command
from hpo.config.study import StudySpec
from hpo.signals import StopRequestedError
from hpo.storage.store import ResultsStore
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study
from tests.helpers import own_networks

FIXED = {
    "dataset": "synthetic",
    "train_images": 100,
    "epochs": 2,
    "batch_size": 20,
    "precision": "fp32",
    "augmentation": "none",
    "lr": 0.02,
}
Capture = pytest.CaptureFixture[str]


def path(name: str) -> str:
    return f"{own_networks.PATH}:{name}"


def submit(url: str, study: str, name: str, **fixed: Any) -> None:
    document = {"study": study, "trials": 1, "fixed": FIXED | {"model": path(name)} | fixed, "space": {}}
    with ResultsStore(url) as store:
        submit_study(store, StudySpec.model_validate(document))


def work(url: str, study: str, check_stop: Callable[[], None] = lambda: None) -> None:
    serve(WorkOrder(url, (study,), "cpu", 50), lambda event: None, check_stop, lambda ready: None)


def stored(url: str, study: str) -> list[tuple[Any, ...]]:
    sql = """
        SELECT r.state, r.weights_hash, c.epoch, c.train_loss, c.val_loss
        FROM results AS r JOIN curves AS c ON c.study = r.study AND c.number = r.number
        WHERE r.study = :study ORDER BY c.epoch
    """
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql), {"study": study})]


def stop_within_training(monkeypatch: pytest.MonkeyPatch, steps: int) -> Callable[[], None]:
    """A stop request after ``count`` steps, two of which are the rehearsal's."""
    made = 0

    def beat() -> None:
        nonlocal made
        made += 1
        heartbeat.beat()

    def check() -> None:
        if made >= steps:
            raise StopRequestedError

    monkeypatch.setattr(hpo.training.loop, "beat", beat)
    return check


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_stopped_trial_of_an_own_network_resumes_bit_for_bit(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for study in ("calm", "stopped"):
        submit(storage_url, study, "NoisyCounting")
    work(storage_url, "calm")
    with monkeypatch.context() as patch, pytest.raises(StopRequestedError):
        work(storage_url, "stopped", stop_within_training(patch, steps=2 + 8))
    assert [row[2] for row in stored(storage_url, "stopped")] == [1]
    work(storage_url, "stopped")
    calm = stored(storage_url, "calm")
    assert stored(storage_url, "stopped") == calm and calm[0][0] == "complete"


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_own_network_is_trained_repeated_exported_and_used(
    storage_url: str, tmp_path: Path, capsys: Capture
) -> None:
    submit(storage_url, "s", "Prints")
    work(storage_url, "s")
    at = ("--storage", storage_url, "--json")
    folder = tmp_path / "exported"
    capsys.readouterr()
    assert run_command(["repeat", "s", "0", *at]) == 0
    assert json.loads(capsys.readouterr().out)["matches"] is True
    assert run_command(["export", "s", "-o", str(folder), *at]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["measured"]["accuracy"] == pytest.approx(exported["recorded_accuracy"], abs=0.01)
    picture = Path(__file__).parents[2] / "docs" / "pictures" / "ten_layers.png"
    assert run_command(["predict", str(folder), str(picture), "--json", "--device", "cpu"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_repeat_names_a_network_that_draws_from_elsewhere(storage_url: str, capsys: Capture) -> None:
    submit(storage_url, "s", "OwnGenerator")
    work(storage_url, "s")
    capsys.readouterr()
    assert run_command(["repeat", "s", "0", "--storage", storage_url]) == 1
    shown = capsys.readouterr().out
    assert "does not match" in shown and "(the reason is below)" in shown
    assert "its forward pass draws random numbers that hpo does not seed" in shown.splitlines()[-1]


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_network_that_exits_ends_its_trial_and_not_the_worker(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.workers.study_runner.check_models", lambda *_: None)
    submit(storage_url, "s", "ExitsInTraining")
    work(storage_url, "s")
    with ResultsStore(storage_url) as store, store.engine.connect() as connection:
        (row,) = connection.execute(text("SELECT state, verdict FROM results"))
    assert tuple(row) == ("failed", "error: SystemExit: 3")


def check(capsys: Capture, *arguments: str) -> tuple[int, Any, str]:
    settings = [part for name, value in FIXED.items() for part in ("--set", f"{name}={value}")]
    capsys.readouterr()
    code = run_command(["check", *arguments, *settings, "--json", "--device", "cpu", "--images", "64"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out) if shown.out else None, shown.err


def notes(result: Any) -> dict[str, str]:
    findings = result["findings"]
    return {
        each["check"]: each["message"] for each in findings if each["check"] in ("reproducible", "export")
    }


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_check_keeps_its_json_apart_from_what_a_network_prints(capsys: Capture) -> None:
    code, result, error = check(capsys, path("Prints"))
    assert code == 0 and notes(result) == {} and "a forward pass" in error


def test_check_says_what_does_not_resume_or_export(capsys: Capture) -> None:
    _, result, _ = check(capsys, path("WarmUp"))
    assert "a resumed trial differs from an uninterrupted one" in notes(result)["reproducible"]
    _, result, _ = check(capsys, path("Locked"))
    assert notes(result).keys() == {"export"} and "torch.export failed" in notes(result)["export"]


def test_check_names_the_line_of_an_error_in_a_later_step(capsys: Capture) -> None:
    code, _, error = check(capsys, path("FailsLater"))
    assert code == 2 and "should not happen" not in error
    assert f"model {path('FailsLater')} raised ValueError: a rare batch ({own_networks.__file__}:" in error


def test_check_reaches_every_choice_of_model(capsys: Capture, tmp_path: Path) -> None:
    study = tmp_path / "two.yaml"
    names = json.dumps([path("Plain"), path("Frozen")])
    study.write_text(f"study: two\ntrials: 2\nspace:\n  model: {{choice: {names}}}\n")
    code, _, error = check(capsys, str(study))
    assert code == 2 and f"model {path('Frozen')} has no trainable parameter" in error
    study.write_text(study.read_text().replace("Frozen", "Tied"))
    code, result, _ = check(capsys, str(study))
    assert code == 0 and result["configuration"]["model"] == path("Plain")  # the default is not a choice
