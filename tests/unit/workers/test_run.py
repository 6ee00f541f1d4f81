"""The exit code of a run."""

from __future__ import annotations

import pytest

from hpo.queue.slots import StudyProgress
from hpo.workers.run import exit_code_of


@pytest.mark.parametrize(
    ("progress", "code"),
    [
        (StudyProgress(complete=4), 0),
        (StudyProgress(complete=1, pruned=3), 0),
        (StudyProgress(complete=3, failed=1), 3),
        (StudyProgress(failed=4), 3),
        (StudyProgress(pruned=4), 3),
        (StudyProgress(complete=3, waiting=1), 1),
        (StudyProgress(complete=3, paused=1, failed=1), 1),
        (StudyProgress(complete=3, to_come=1), 1),
    ],
)
def test_exit_code_tells_failed_trials_from_trials_that_are_left(progress: StudyProgress, code: int) -> None:
    assert exit_code_of(progress) == code
