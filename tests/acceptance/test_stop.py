"""`hpo stop` and `hpo resume` on a run in another process."""

from __future__ import annotations

import json

from tests.helpers.hpo_command import Hpo


def test_stopped_study_is_released_at_once_and_resumed_where_it_was(hpo: Hpo) -> None:
    study = hpo.write_study(trials=2, epochs=40)
    running = hpo.start("run", study, "--json", "--workers", "1")
    running.wait_for("epoch_done")
    stopped = hpo("stop", "tiny", "--wait")
    assert (stopped.returncode, stopped.stdout) == (0, "tiny is stopped; no worker runs it\n")
    summary = running.wait_for("summary")
    code, errors = running.end()
    assert (code, summary["stopped"], summary["finished"]) == (1, True, 0), errors
    assert "Traceback" not in errors

    status = json.loads(hpo("status", "tiny", "--json").stdout)
    assert status["stopped_at"] and status["workers"] == []
    (waiting,) = status["interrupted"]
    assert waiting["outcome"] == "released" and waiting["epoch"] >= 1

    again = hpo("run", study, "--workers", "1")
    assert again.returncode == 2
    assert "study tiny was stopped with `hpo stop` on " in again.stderr and "hpo resume tiny" in again.stderr
    assert hpo.rows("SELECT count(*) AS n FROM attempts") == [{"n": 1}]

    assert "tiny is resumed" in hpo("resume", "tiny").stdout
    resumed = hpo.start("run", study, "--json", "--workers", "1")
    # From the epoch that it had reached, not from the first.
    assert resumed.wait_for("epoch_done")["epoch"] > waiting["epoch"]
    resumed.kill_all()
