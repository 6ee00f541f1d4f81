"""`hpo submit` and `hpo worker` as real processes."""

from __future__ import annotations

import json
import re
import signal
from urllib.request import urlopen

import pytest

from tests.helpers.hpo_command import Hpo


def test_worker_releases_a_submitted_study_on_sigterm_and_another_ends_it(hpo: Hpo) -> None:
    study = hpo.write_study(trials=2, epochs=6)
    options = ("--slots", "1", "--tags", "big", "--log-format", "json", "--metrics-port", "0")
    waiting = hpo.start("worker", *options)
    assert waiting.process.stderr is not None
    metrics = waiting.process.stderr.readline().strip().removeprefix("metrics at ")
    ready = waiting.wait_for("worker_ready")
    assert (ready["device"], ready["tags"]) == ("cpu", ["big"])

    done = hpo("submit", study, "--priority", "3", "--json")
    assert done.returncode == 0, done.stderr
    submitted = json.loads(done.stdout)
    assert (submitted["study"], submitted["trials"], submitted["priority"]) == ("tiny", 2, 3)

    begun = waiting.wait_for("epoch_done")
    assert (begun["study"], begun["trial"], begun["worker"]) == ("tiny", 0, ready["worker"])
    with urlopen(metrics, timeout=10) as answer:
        counts = answer.read().decode().splitlines()
    assert "hpo_worker_processes 1.0" in counts
    assert any(re.fullmatch(r'hpo_worker_epochs_total{study="tiny"} [1-9]\d*\.0', line) for line in counts)
    waiting.process.send_signal(signal.SIGTERM)
    last = waiting.wait_for("ended")
    code, errors = waiting.end()
    assert (code, last["exit_code"]) == (143, 143), errors
    assert "Traceback" not in errors
    status = json.loads(hpo("status", "tiny", "--json").stdout)
    assert status["workers"] == [] and status["interrupted"][0]["outcome"] == "released"

    ended = hpo("worker", "tiny", "--slots", "1", "--until-idle")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "tiny  trial 0" in ended.stdout and "resumes: 6 epochs" in ended.stdout
    curves = hpo.rows("SELECT number, count(*) AS epochs, max(epoch) AS last FROM curves GROUP BY number")
    assert len(curves) == 2 and all(each["epochs"] == each["last"] for each in curves)
    assert [row["epochs"] for row in curves if row["number"] == 0] == [6]
    outcomes = hpo.rows("SELECT number, outcome FROM attempts ORDER BY number, attempt")
    assert [row["outcome"] for row in outcomes if row["number"] == 0] == ["released", "complete"]


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_worker_refuses_a_device_that_is_missing(hpo: Hpo) -> None:
    done = hpo("worker", "--device", "cuda:7", "--until-idle", "--slots", "1")
    assert done.returncode == 2 and "there is no device 'cuda:7'" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


NOISY = """
import os, signal
from pathlib import Path
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, classes)

    def forward(self, images):
        if self.training and len(images) == 50:  # not when it is tried in small before
            mark = Path("died")
            print("first try" if not mark.exists() else "second try", flush=True)
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return self.dense(images.flatten(1))


def build(options, *, in_shape, classes):
    return Net(classes)
"""


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_output_of_workers_is_kept_with_their_attempts(hpo: Hpo) -> None:
    (hpo.folder / "noisy.py").write_text(NOISY)
    study = hpo.write_study(trials=1, epochs=1)
    changes = ("--set", "model=noisy:build", "--set", "precision=fp32")
    assert hpo("submit", study, *changes).returncode == 0
    refused = hpo("worker", "--slots", "1", "--until-idle")
    assert refused.returncode == 1 and "HPO_ALLOWED_MODELS=noisy" in refused.stdout
    assert not (hpo.folder / "died").exists()
    hpo.environment["HPO_ALLOWED_MODELS"] = "noisy"
    ended = hpo("worker", "--slots", "1", "--until-idle")
    assert ended.returncode == 1  # a worker was lost
    assert "worker-1 died (killed by signal 9" in ended.stdout
    entries = json.loads(hpo("logs", "tiny", "0", "--json").stdout)
    printed = [each["text"].splitlines()[0] for each in entries if each["kind"] == "printed"]
    assert printed == ["first try", "second try"]
    kinds = [each["kind"] for each in entries if each["kind"] in ("begun", "printed", "ended")]
    assert kinds == ["begun", "printed", "ended", "begun", "printed", "ended"]
