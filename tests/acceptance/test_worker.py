"""`hpo submit` and `hpo worker` as real processes."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from hpo_command import Hpo


def _is(kind: str) -> Any:
    return lambda event: event["event"] == kind


def test_a_worker_takes_what_is_submitted_gives_it_back_on_sigterm_and_another_ends_it(hpo: Hpo) -> None:
    study = hpo.write_study(trials=2, epochs=12)
    waiting = hpo.start("worker", "--slots", "1", "--tags", "big", "--log-format", "json")
    ready = waiting.wait_for(_is("worker_ready"))
    assert (ready["device"], ready["tags"]) == ("cpu", ["big"])

    said = hpo("submit", study, "--priority", "3", "--json")
    assert said.returncode == 0, said.stderr
    submitted = json.loads(said.stdout)
    assert (submitted["study"], submitted["trials"], submitted["priority"]) == ("tiny", 2, 3)

    begun = waiting.wait_for(_is("epoch_done"))
    assert (begun["study"], begun["trial"], begun["worker"]) == ("tiny", 0, ready["worker"])
    waiting.process.send_signal(signal.SIGTERM)
    last = waiting.wait_for(_is("ended"))
    code, errors = waiting.end()
    assert (code, last["exit_code"]) == (143, 143), errors
    assert "Traceback" not in errors
    status = json.loads(hpo("status", "tiny", "--json").stdout)
    assert status["workers"] == [] and status["interrupted"][0]["outcome"] == "released"

    ended = hpo("worker", "tiny", "--slots", "2", "--until-idle")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "tiny  trial 0" in ended.stdout and "goes on: 12 epochs" in ended.stdout
    curves = hpo.rows("SELECT number, count(*) AS epochs, max(epoch) AS last FROM curves GROUP BY number")
    assert len(curves) == 2 and all(each["epochs"] == each["last"] for each in curves)
    assert [row["epochs"] for row in curves if row["number"] == 0] == [12]
    outcomes = hpo.rows("SELECT number, outcome FROM attempts ORDER BY number, attempt")
    assert [row["outcome"] for row in outcomes if row["number"] == 0] == ["released", "complete"]


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_mistakes_are_said_in_words(hpo: Hpo) -> None:
    for command, message in (
        (("worker", "--tags", "A B"), "'A B' is no tag"),
        (("worker", "--device", "cuda:7", "--until-idle"), "there is no device 'cuda:7'"),
        (("submit", "nothing.yaml"), "nothing.yaml"),
    ):
        done = hpo(*command)
        assert done.returncode == 2 and message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
