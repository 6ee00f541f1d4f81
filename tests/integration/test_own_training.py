"""Trainings of the user's own, in a real trainer process: they resume, end early, fail, and harm no other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo.trial.own
from hpo.events import TrialPaused
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.trainer.process import end_trainer_process
from tests.conftest import NewDatabase
from tests.helpers.own_training import TORCH_TRAINER, rows, run, spec, submit, work, write_trainer

SLOW = pytest.mark.slow
CURVES = """
    SELECT number, epoch, val_accuracy, train_loss, metrics FROM curves WHERE study = :study ORDER BY 1, 2
"""
RESULTS = """
    SELECT slot, state, value, best_epoch, weights_hash FROM results WHERE study = :study ORDER BY slot
"""
VERDICTS = """
    SELECT json_extract(t.configuration, '$.does'), r.state, r.value, r.cause, r.verdict FROM results AS r
    JOIN hpo_trial AS t ON t.trial_id = r.trial_id WHERE r.study = :study ORDER BY r.slot
"""
ATTEMPTS = """
    SELECT a.from_epoch, a.to_epoch, a.outcome FROM hpo_attempt AS a
    JOIN hpo_trial AS t ON t.trial_id = a.trial_id JOIN hpo_study AS s ON s.study_id = t.study_id
    WHERE s.name = :study ORDER BY t.slot, a.attempt
"""


@pytest.fixture(autouse=True)
def _own_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    write_trainer(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield
    end_trainer_process()


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database("sqlite")


def same(url: str, one: str, other: str) -> bool:
    assert rows(url, CURVES, study=one)
    return all(rows(url, sql, study=one) == rows(url, sql, study=other) for sql in (CURVES, RESULTS))


def test_trials_that_fail_cost_only_themselves(url: str) -> None:
    does = [
        "sound",
        "raising",
        "exiting",
        "dying",
        "crashing",
        "exhausting",
        "nothing",
        "misusing",
        "saving_late",
    ]
    run(url, spec("s", [*does, "leaking", "looking", "returning", "skipping"]))
    found = {row[0]: row[1:] for row in rows(url, VERDICTS, study="s")}
    assert [found[name][0] for name in does] == ["complete", *["failed"] * 8]
    assert found["raising"][2:] == ("error", "error: ValueError: no such file: sesame")
    assert found["exiting"][3] == "error: SystemExit: 3"
    assert found["dying"][3] == "error: the process of the training ended with exit code 7"
    assert found["crashing"][3] == "error: the process of the training was killed by signal SIGSEGV"
    assert found["exhausting"][2] == "out_of_memory"
    assert "returned a str" in found["nothing"][3]
    assert "epoch 0 cannot follow epoch 0: epochs count from 1" in found["misusing"][3]
    assert "before report" in found["saving_late"][3]
    assert found["looking"][:2] == ("complete", 1.0)
    assert found["returning"][1] == 0.55
    epochs = "SELECT c.epoch, c.val_accuracy FROM curves AS c JOIN results AS r USING (study, number)"
    skipped = rows(url, f"{epochs} WHERE r.value = 0.25 ORDER BY c.epoch")
    assert skipped == [(1, None), (2, None), (3, 0.25)]
    (number,) = rows(url, "SELECT number FROM results WHERE value = 0.25")[0]
    (kept,) = settings().artifacts.glob(f"*/trial-{number}-*/trial.json")
    assert json.loads(kept.read_text())["states"] == {"sums": {"dict": [["n", 1]]}}
    query = "SELECT error FROM hpo_trial WHERE json_extract(configuration, '$.does') = 'raising'"
    (error,) = rows(url, query)[0]
    assert "in inner" in error and "in raising" in error and "hpo/trainer" not in error


@pytest.mark.parametrize(
    "killed_at", [pytest.param("1 2", marks=SLOW), "2 0", pytest.param("3 3", marks=SLOW)]
)
def test_killed_training_resumes_bit_for_bit(
    killed_at: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_CHECKPOINT_SECONDS", "0")
    settings.cache_clear()
    run(url, spec("whole", ["sound"]))
    run(url, spec("killed", ["sound"], fixed={"killed_at": killed_at}))
    assert same(url, "whole", "killed")
    outcomes = [row[2] for row in rows(url, ATTEMPTS, study="killed")]
    assert outcomes == ["lost", "complete"]


def test_values_saved_by_hand_are_restored(url: str) -> None:
    run(url, spec("whole", ["saving"]))
    run(url, spec("killed", ["saving"], fixed={"killed_at": "3 0"}))
    assert same(url, "whole", "killed")
    assert [row[2] for row in rows(url, ATTEMPTS, study="killed")] == ["lost", "complete"]


def test_stopped_worker_saves_within_the_epoch(url: str) -> None:
    run(url, spec("whole", ["sound"]))
    submit(url, spec("stopped", ["sound"], fixed={"stopped_at": "1 2, 2 3"}))
    for _ in range(2):
        with pytest.raises(StopRequestedError):
            work(url, "stopped", _stop_once_wanted)
    work(url, "stopped")
    assert same(url, "whole", "stopped")
    assert rows(url, ATTEMPTS, study="stopped") == [
        (0, 0, "released"), (0, 1, "released"), (1, 3, "complete")
    ]  # fmt: skip
    # The steps that were done are not done again: each disturbs the training only once.
    assert not Path("stop").exists()


def _stop_once_wanted() -> None:
    if Path("stop").exists():
        Path("stop").unlink()
        raise StopRequestedError


def test_paused_trials_are_promoted_with_the_same_results(url: str) -> None:
    rates: dict[str, Any] = {"space": {"lr": {"choice": [0.1, 0.9, 0.3, 0.5]}}, "trials": 4}
    run(url, spec("whole", ["sound"], **rates))
    pruner = {"asha": {"reduction": 2, "promote": True}}
    events = run(url, spec("asha", ["sound"], pruner=pruner, **rates))
    assert any(isinstance(event, TrialPaused) for event in events)
    whole = {row[0]: row for row in rows(url, RESULTS, study="whole")}
    finished = [row for row in rows(url, RESULTS, study="asha") if row[1] == "complete"]
    assert 0 < len(finished) < 4
    assert all(row == whole[row[0]] for row in finished)


def test_confirming_trainings_have_other_seeds(url: str) -> None:
    stages = [{"name": "search", "trials": 1}, {"name": "confirm", "confirm": {"top": 1, "seeds": 2}}]
    run(url, spec("s", ["seeded"], stages=stages, trials=3))
    values = [row[2] for row in rows(url, RESULTS, study="s")]
    assert len(set(values)) == 3


@pytest.mark.parametrize(
    ("does", "limits", "state", "cause"),
    [
        pytest.param("endless", {"minutes": 0.02}, "pruned", "time_limit", marks=SLOW),
        ("growing", {"memory": "250MB"}, "failed", "memory_limit"),
        ("stubborn", {"minutes": 0.02}, "pruned", "time_limit"),
    ],
)
def test_training_beyond_a_limit_is_ended(
    does: str, limits: dict[str, Any], state: str, cause: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpo.trial.own, "LEAVE_SECONDS", 0.3)
    monkeypatch.setattr(hpo.trial.own, "TERM_SECONDS", 0.3)
    run(url, spec("s", [does, "looking"], limits=limits))
    first, second = rows(url, VERDICTS, study="s")
    assert (first[1], first[3]) == (state, cause)
    assert second[1:3] == ("complete", 1.0)


def test_hung_training_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_HUNG_SECONDS", "1")
    settings.cache_clear()
    run(url, spec("s", ["hanging", "looking"], max_deaths=1))
    first, second = rows(url, VERDICTS, study="s")
    assert (first[1], first[3]) == ("failed", "worker_died")
    assert second[1:3] == ("complete", 1.0)
    assert rows(url, ATTEMPTS, study="s")[0][2] == "hung"


def test_best_states_are_kept_as_safetensors(url: str) -> None:
    import safetensors.numpy

    run(url, spec("s", ["sound"]))
    (uid,) = rows(url, "SELECT uid FROM hpo_study WHERE name = 's'")[0]
    ((_, _, value, best_epoch, _),) = rows(url, RESULTS, study="s")
    (folder,) = (settings().artifacts / uid).glob("trial-0-*")
    document = json.loads((folder / "trial.json").read_text())
    assert (document["value"], document["best_epoch"]) == (value, best_epoch)
    weights = safetensors.numpy.load_file(folder / "weights.safetensors")
    assert abs(float(abs(__import__("numpy").tanh(weights["state.weight"].sum()))) - value) < 1e-12


FINDINGS = """
    SELECT f.check_name, f.severity, f.step, f.epoch, f.value, f.message FROM hpo_finding AS f
    JOIN hpo_trial AS t ON t.trial_id = f.trial_id JOIN hpo_study AS s ON s.study_id = t.study_id
    WHERE s.name = :study ORDER BY 1, 3
"""
LAYERS = """
    SELECT l.step, l.position, l.epoch, l.activation_mean, l.gradient_norm, l.update_ratio
    FROM hpo_layer AS l JOIN hpo_trial AS t ON t.trial_id = l.trial_id
    JOIN hpo_study AS s ON s.study_id = t.study_id WHERE s.name = :study ORDER BY 1, 2
"""


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", ["1 3", "2 1", "3 5"])
def test_killed_training_with_pytorch_resumes_bit_for_bit(
    killed_at: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trainer(tmp_path, TORCH_TRAINER)
    monkeypatch.setenv("HPO_CHECKPOINT_SECONDS", "0")
    settings.cache_clear()
    fixed = {"does": "", "kills": "trainer"}
    run(url, spec("whole", ["torch"], fixed=fixed))
    end_trainer_process()  # the next process imports PyTorch again
    run(url, spec("killed", ["torch"], fixed=fixed | {"killed_at": killed_at}))
    assert same(url, "whole", "killed")
    for sql in (FINDINGS, LAYERS):
        assert rows(url, sql, study="whole")
        assert rows(url, sql, study="whole") == rows(url, sql, study="killed")


@pytest.mark.slow
def test_killed_worker_takes_its_trainer_process_along(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trainer(tmp_path, TORCH_TRAINER)
    monkeypatch.setenv("HPO_STORAGE", url)
    monkeypatch.setenv("HPO_ALLOWED_MODELS", "own_trainer")
    settings.cache_clear()
    fixed = {"does": "", "kills": "worker", "killed_at": "2 3"}
    run(url, spec("whole", ["torch"], fixed={"does": "", "kills": "worker"}))
    submit(url, spec("killed", ["torch"], fixed=fixed))
    command = [sys.executable, "-m", "hpo", "worker", "killed", "--until-idle", "--slots", "1"]
    subprocess.run(command, check=False, capture_output=True)  # 1: a worker died
    assert same(url, "whole", "killed")
    assert [row[2] for row in rows(url, ATTEMPTS, study="killed")] == ["lost", "complete"]
