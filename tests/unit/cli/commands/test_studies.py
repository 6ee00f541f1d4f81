"""`hpo studies`: the database's studies, and the bundled study files."""

from __future__ import annotations

from hpo.config.parsing.source import bundled_studies, bundled_text
from hpo.queue import control
from hpo.storage.store import ResultsStore
from tests.helpers.command_output import Capture, error_text, output_json, output_lines


def test_studies_lists_state_progress_best_and_priority(demo: str, capsys: Capture) -> None:
    heading, row = output_lines(capsys, "studies")
    assert heading.split()[:7] == ["study", "state", "priority", "done", "running", "best", "data"]
    assert row.split()[:7] == ["demo", "running", "0", "5/6", "1", "0.8125", "synthetic"]


def test_studies_json_shows_a_stopped_study(own_demo: str, capsys: Capture) -> None:
    with ResultsStore(own_demo) as store:
        control.stop(store, 1)
    (study,) = output_json(capsys, "studies")
    assert (study["study"], study["state"], study["done"], study["trials"]) == ("demo", "stopped", 5, 6)


def test_studies_bundled_lists_files_with_their_trials(capsys: Capture) -> None:
    rows = [line.split() for line in output_lines(capsys, "studies", "--bundled")]
    assert ["quickstart", "12"] in [row[:2] for row in rows]


def test_studies_bundled_name_prints_its_file(capsys: Capture) -> None:
    assert "\n".join(output_lines(capsys, "studies", "quickstart")) + "\n" == bundled_text("quickstart")


def test_studies_bundled_name_leaves_out_the_editors_line(capsys: Capture) -> None:
    for name in bundled_studies():
        first, *rest = output_lines(capsys, "studies", name)
        assert first.startswith("# ") and "schema" not in "".join([first, *rest])


def test_studies_unknown_bundled_name_suggests_one(capsys: Capture) -> None:
    assert "did you mean quickstart?" in error_text(capsys, "studies", "quikstart")
