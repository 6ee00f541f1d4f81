"""A study's trials as a CSV file. optuna-dashboard's own route fails if the study's name has a line break."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from urllib.parse import quote

import optuna
from bottle import HTTPResponse, request
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial

from hpo.reporting.formatting import spreadsheet_cell


def csv_answer(storage: BaseStorage, study_id: int) -> HTTPResponse:
    """Answer with optuna-dashboard's table as a download; ``?trial_ids=1,2`` selects trials by number."""
    try:
        study = optuna.load_study(study_name=storage.get_study_name_from_id(study_id), storage=storage)
    except KeyError:
        return _refused(404, f"study {study_id} does not exist")
    trials = study.get_trials(deepcopy=False)
    wanted = request.query.get("trial_ids", "")
    if wanted:
        try:
            numbers = {int(number) for number in wanted.split(",")}
        except ValueError:
            return _refused(400, "trial_ids must be trial numbers, such as 1,2")
        trials = [trial for trial in trials if trial.number in numbers]
        if not trials:
            return _refused(404, f"the study has none of the trials {wanted}")
    headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": _download(study.study_name)}
    return HTTPResponse(_table(study, trials).encode(), headers=headers)


def _refused(status: int, reason: str) -> HTTPResponse:
    return HTTPResponse(f"{reason}\n", status, {"Content-Type": "text/plain; charset=utf-8"})


def _download(study: str) -> str:
    """Return a Content-Disposition header with the file name in ASCII and in UTF-8."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", study).strip("-.") or "study"
    full = quote(re.sub(r"[^\w.-]+", "-", study).strip("-.") or "study", safe="")
    return f"attachment; filename=\"{plain}.csv\"; filename*=UTF-8''{full}.csv"


def _table(study: Study, trials: Sequence[FrozenTrial]) -> str:
    params = sorted({name for trial in trials for name in trial.params})
    attrs = sorted({name for trial in trials for name in trial.user_attrs})
    objectives = len(study.directions)
    values = study.metric_names or (
        ["Value"] if objectives == 1 else [f"Objective {objective}" for objective in range(objectives)]
    )
    text = io.StringIO()
    rows = csv.writer(text)
    named = (*(f"Param {name}" for name in params), *(f"UserAttribute {name}" for name in attrs))
    rows.writerow(map(spreadsheet_cell, ["Number", "State", *values, *named]))
    for trial in trials:
        has = (*map(trial.params.get, params), *map(trial.user_attrs.get, attrs))
        cells = [trial.number, trial.state.name, *(trial.values or [None] * objectives), *has]
        rows.writerow(map(spreadsheet_cell, cells))
    return text.getvalue()
