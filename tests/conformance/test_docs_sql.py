"""docs/sql.md: every statement in it runs, and it lists every column of every view."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import inspect

from hpo.results import study_findings
from hpo.results.ad_hoc import run_sql
from hpo.results.engine import writing
from hpo.results.records import FindingRecord, LayerRecord, Outcome, StudyFindingRecord
from hpo.results.view_sql import VIEWS
from hpo.spec.configuration import Configuration

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")


@pytest.fixture
def url(bench: Any) -> str:
    """A study with something to find for each question."""
    study_id = bench.register("quickstart", trials=6)
    bench.trial(study_id, Outcome("complete", value=0.5, verdict="healthy"), (0.4, 0.5), lr=0.02)
    bench.trial(study_id, Outcome("complete", value=0.7, verdict="healthy"), (0.7,), activation="tanh")
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease, lr=0.9)
    for _ in range(2):  # the first attempt is lost
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.record_findings(
        lease,
        trial_id,
        [FindingRecord("exploding_loss", "fatal", 5, 0, "the loss grew", 9.0, 7.0, "lower lr")],
    )
    bench.store.finish_trial(lease, trial_id, Outcome("pruned", verdict="exploded"))
    noted = bench.claim(study_id)
    trial_id, _ = bench.begin(noted)
    bench.store.record_findings(noted, trial_id, [FindingRecord("learned", "warn", 9, 1, "hardly learned")])
    bench.store.finish_trial(noted, trial_id, Outcome("complete", value=0.2))
    layered = bench.claim(study_id)
    with bench.plain_optuna() as storage:
        theirs = optuna.create_study(study_name="theirs", storage=storage)
        theirs.optimize(lambda trial: len(trial.suggest_categorical("kernel", ["rbf"])), n_trials=1)
    trial_id, _ = bench.begin(layered)
    bench.store.record_layers(layered, 1, [LayerRecord(9, 1, 0, "conv1", dead=0.1)])
    remark = StudyFindingRecord("cost", "note", "3 of 6 trials came to nothing", {"share": 0.5}, "", {})
    with writing(bench.store.engine) as connection:
        study_findings.replace(connection, study_id, [remark], trials_seen=6)
    return str(bench.store.url)


def test_every_statement_finds_something(url: str) -> None:
    statements = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert len(statements) >= 12
    for statement in statements:
        columns, rows = run_sql(url, statement)
        found = list(rows)
        assert found, statement
        assert len(columns) == len(found[0])


def test_every_column_of_every_view_is_listed_in_its_order(bench: Any) -> None:
    for view in VIEWS[1:]:
        section = PAGE.split(f"### {view}\n")[1].split("\n#")[0]
        listed = re.findall(r"^\| (\*?\w+\*?) \|", section, re.MULTILINE)[1:]
        if view == "results":
            place = listed.index("*hyperparameters*")
            listed[place : place + 1] = list(Configuration.model_fields)
        columns = [column["name"] for column in inspect(bench.store.engine).get_columns(view)]
        assert columns == listed, view
