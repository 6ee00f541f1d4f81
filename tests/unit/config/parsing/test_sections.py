"""``needs:`` in study files, and the tags that workers are given."""

from __future__ import annotations

import pytest

from hpo.config.parsing.load import parse_study
from hpo.config.parsing.sections import lacking, read_tags
from hpo.config.write import study_text
from hpo.errors import StudyFileError, UserError

HEAD = "study: s\ntrials: 2\nspace: {lr: {log: [1e-4, 1]}}\n"


def test_needs_are_read_each_once_and_written_again() -> None:
    spec = parse_study(f"{HEAD}needs: [gpu, big-memory, gpu]\n", "s.yaml")
    assert spec.needs == ("gpu", "big-memory")
    assert parse_study(study_text(spec), "s.yaml") == spec
    assert parse_study(HEAD, "s.yaml").needs == () == parse_study(f"{HEAD}needs:\n", "s.yaml").needs


def test_needs_can_be_set_on_the_command_line() -> None:
    assert parse_study(HEAD, "s.yaml", ["needs=[gpu]"]).needs == ("gpu",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gpu", "s.yaml:4: needs: is not a list of tags (e.g. needs: [gpu])"),
        ("[GPU]", "s.yaml:4: needs: 'GPU' is not a valid tag (lowercase letters, digits, '.', '_' and '-')"),
        ("[{gpu: 1}]", "s.yaml:4: needs: a list or mapping is not a valid tag"),
    ],
)
def test_mistakes_are_reported_with_their_line(value: str, message: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        parse_study(f"{HEAD}needs: {value}\n", "s.yaml")
    assert message in str(caught.value)


def test_tags_of_a_worker() -> None:
    assert read_tags("") == frozenset()
    assert read_tags("gpu, a100,") == {"gpu", "a100"}
    with pytest.raises(UserError, match=r"'A 100' is not a valid tag"):
        read_tags("gpu,A 100")


def test_what_a_worker_lacks() -> None:
    assert lacking(("gpu", "big"), frozenset({"gpu"})) == ("big",)
    assert lacking((), frozenset()) == ()
