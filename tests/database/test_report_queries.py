"""What pictures, reports and watchers read, on both databases, against the known study."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import NullPool

from hpo.errors import UnknownStudyError
from hpo.queries.live import study_now
from hpo.queries.study import checks_by_severity, study_curves, study_overview
from hpo.reporting.report.build import make_report
from hpo.storage.optuna.foreign import optuna_history
from hpo.storage.studies import results_engine
from hpo.storage.url import parse_url
from tests.conftest import Fill
from tests.database.conftest import write_known_trials
from tests.helpers.optuna_study import THEIRS, make_theirs
from tests.helpers.population import EPOCHS


@pytest.fixture(scope="module")
def contents() -> Fill:
    return write_known_trials


@pytest.fixture
def engine(storage_url: str) -> Any:
    made = results_engine(storage_url)
    yield made
    made.dispose()


def test_overview_curves_and_checks(engine: Any) -> None:
    overview = study_overview(engine, "known")
    assert [trial.number for trial in overview.trials] == list(range(20))
    states = [trial.state for trial in overview.trials]
    assert (states.count("pruned"), states.count("failed")) == (4, 1)
    curves = study_curves(engine, "known", {0, 1})
    assert set(curves) == {0, 1} and [epoch for epoch, _ in curves[0]] == list(range(1, EPOCHS + 1))
    checks = checks_by_severity(engine, "known")
    assert checks["watch"]["fatal"] == 4 and sum(checks["watch"].values()) == 20


def test_live_status(engine: Any) -> None:
    now = study_now(engine, "known", findings=2)
    assert [trial.number for trial in now.ended][-1] == 19 and len(now.ended) == 20
    assert all(trial.seconds >= 0 for trial in now.ended)
    assert len(now.findings) == 2 and now.findings[0].number < now.findings[1].number
    assert now.running == () and now.searched


def test_an_optuna_study_is_read_as_optuna_reads_it(empty_storage_url: str) -> None:
    url = parse_url(empty_storage_url).render_as_string(hide_password=False)
    make_theirs(url)
    storage = RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    theirs = optuna.load_study(study_name=THEIRS, storage=storage).get_trials()
    history = optuna_history(empty_storage_url, THEIRS)
    assert history.directions == ("minimize", "maximize")
    for ours, trial in zip(history.trials, theirs, strict=True):
        assert (ours.number, ours.state) == (trial.number, trial.state.name.lower())
        assert ours.params == trial.params
        finite = {place: value for place, value in enumerate(trial.values or ()) if math.isfinite(value)}
        assert ours.values == finite
    assert history.trials[0].curve == [(10, pytest.approx(0.3))]
    assert "## All trials" in make_report(empty_storage_url, THEIRS, "md").text
    with pytest.raises(UnknownStudyError, match=THEIRS):
        optuna_history(empty_storage_url, "thiers")
