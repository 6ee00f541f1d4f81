from __future__ import annotations

import pytest
from sqlalchemy import Engine

from hpo.queries.study import study_overview
from hpo.reporting.figures.points import StudyPicture, study_picture


@pytest.fixture(scope="session")
def picture(watched: Engine) -> StudyPicture:
    """The data of the watched study's pictures."""
    return study_picture(watched, study_overview(watched, "watched"))
