"""No space left for checkpoints, or for the database: what is told, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hpo_command import Hpo
from tests.helpers.servers import fill, small_disk_at

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)]
RESULTS = "select slot, state, value, weights_hash from results where study = '{}' order by slot"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "disk", "4m") as folder:
        yield folder


def test_a_full_disk_of_checkpoints_is_noted_and_the_training_continues(hpo: Hpo, small_disk: Path) -> None:
    fill(small_disk)
    hpo.environment["HPO_CHECKPOINTS"] = str(small_disk / "checkpoints")
    done = hpo("run", hpo.write_study(trials=1), "--set", "lr=0.01")
    assert done.returncode == 0, done.stderr
    (row,) = hpo.rows("select state from results")
    assert row == {"state": "complete"}
    notes = hpo.rows("select message from findings where check_name = 'checkpoint'")
    assert notes and all("No space left on device" in note["message"] for note in notes)


def test_full_disk_is_reported_and_the_study_resumes_with_room(hpo: Hpo, small_disk: Path) -> None:
    study = hpo.write_study(trials=2)
    calm = hpo("run", study, "--set", "study=calm")
    assert calm.returncode == 0, calm.stderr
    expected = hpo.rows(RESULTS.format("calm"))
    hpo.environment["HPO_STORAGE"] = f"sqlite:///{small_disk / 'hpo.db'}"
    assert hpo("db", "upgrade").returncode == 0
    filler = fill(small_disk)
    done = hpo("run", study)
    assert done.returncode == 1
    assert f"no space left for {small_disk / 'hpo.db'}: free some" in done.stderr
    assert "Traceback" not in done.stderr
    filler.unlink()
    again = hpo("run", study)
    assert again.returncode == 0, again.stderr
    assert hpo.rows(RESULTS.format("tiny")) == expected
