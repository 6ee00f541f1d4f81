"""`hpo run` whose database is taken away: it ends in good order, and resumes when the database is back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.helpers.hpo_command import COMMAND

STUDY = """\
study: long
trials: 1
fixed: {dataset: synthetic, train_images: 500, epochs: 300, width: 4, depth: 2, batch_size: 16, lr: 0.01}
"""


class Run:
    """A run in its own folder, and its database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "hpo.db"
        folders = {name: str(folder / name.lower()) for name in ("HPO_CHECKPOINTS", "HPO_ARTIFACTS")}
        self.environment = {**os.environ, "HPO_STORAGE": f"sqlite:///{self.database}", **folders}
        (folder / "long.yaml").write_text(STUDY)

    def start(self) -> subprocess.Popen[str]:
        """Start it, and return once it has trained two epochs."""
        command = [*COMMAND, "run", "long.yaml", "--workers", "1", "--json"]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        trained = (line for line in process.stdout if '"epoch_done"' in line)
        assert next(trained) and next(trained)
        return process

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )


@pytest.mark.slow
@pytest.mark.parametrize("case", ["removed", "moved", "copied_over"])
def test_run_without_its_database_stops_and_resumes(case: str, tmp_path: Path) -> None:
    run = Run(tmp_path)
    process = run.start()
    backup = run.folder / "backup.db"
    assert run.command("db", "backup", "-o", str(backup)).returncode == 0
    {
        "removed": lambda: run.database.unlink(),
        "moved": lambda: run.database.rename(tmp_path / "old.db"),
        "copied_over": lambda: shutil.copyfile(backup, run.database),
    }[case]()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "while it was in use" in errors and "Checkpoints are kept" in errors
    assert "Traceback" not in errors and "should not happen" not in errors
    assert run.database.exists() == (case == "copied_over")
    assert list(tmp_path.glob("hpo_checkpoints/**/*.json"))
    if case == "moved":
        status = run.command("status", "--storage", f"sqlite:///{tmp_path / 'old.db'}")
        assert "hpo.db-wal belongs to no database there" in status.stderr
        (tmp_path / "old.db").rename(run.database)
    else:
        for each in ("wal", "shm"):
            run.database.with_name(f"hpo.db-{each}").unlink()
        shutil.copyfile(backup, run.database)
    again = run.start()  # its first line of an epoch is the one after the checkpoint
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=120)
    attempts = run.command("query", "SELECT max(from_epoch) AS epoch FROM attempts", "--format", "csv")
    assert int(attempts.stdout.split()[1]) >= 2
