"""`hpo stop` and `hpo resume` on a run in another process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.helpers.hpo_command import Hpo


def _is(kind: str) -> Any:
    return lambda event: event["event"] == kind


def test_a_stopped_study_is_left_at_once_and_goes_on_when_it_is_resumed(hpo: Hpo) -> None:
    study = hpo.write_study(trials=2, epochs=40)
    running = hpo.start("run", study, "--json", "--workers", "1")
    running.wait_for(_is("epoch_done"))
    said = hpo("stop", "tiny", "--wait")
    assert (said.returncode, said.stdout) == (0, "tiny is stopped; no worker runs it\n")
    summary = running.wait_for(_is("summary"))
    code, errors = running.end()
    assert (code, summary["stopped"], summary["finished"]) == (1, True, 0), errors
    assert "Traceback" not in errors

    status = json.loads(hpo("status", "tiny", "--json").stdout)
    assert status["stopped_at"] and status["workers"] == []
    (waiting,) = status["interrupted"]
    assert waiting["outcome"] == "released" and waiting["epoch"] >= 1

    again = hpo("run", study)
    assert again.returncode == 2
    assert "study tiny was stopped with `hpo stop` on " in again.stderr and "hpo resume tiny" in again.stderr
    assert hpo.rows("SELECT count(*) AS n FROM attempts") == [{"n": 1}]

    assert "tiny is resumed" in hpo("resume", "tiny").stdout
    resumed = hpo.start("run", study, "--json", "--workers", "1")
    # From the epoch where it was, not from its first.
    assert resumed.wait_for(_is("epoch_done"))["epoch"] > waiting["epoch"]
    resumed.kill_all()


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_what_is_not_there_cannot_be_stopped(hpo: Hpo) -> None:
    for command in ("stop", "resume"):
        done = hpo(command, "nothing")
        assert done.returncode == 2
        assert "there is no study nothing" in done.stderr
    elsewhere = hpo("stop", "tiny", "--storage", f"sqlite:///{hpo.folder}/none.db")
    assert elsewhere.returncode == 1 and "there is no database" in elsewhere.stderr
    assert not (hpo.folder / "none.db").exists()
