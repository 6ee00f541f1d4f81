from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna_dashboard import save_note, wsgi

from hpo.reporting.dashboard import trial_texts
from hpo.reporting.dashboard.annotations import Annotations, StudyAnnotations
from hpo.reporting.dashboard.app import Access, make_app
from hpo.reporting.dashboard.internals import serialize_frozen_trial
from hpo.reporting.dashboard.trial_texts import TrialTexts

Ask = Callable[..., Any]
LOCAL = {"HTTP_HOST": "localhost"}
SPACE = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "layers": IntDistribution(1, 4),
    "norm": CategoricalDistribution((None, "batch")),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a study with trials of every kind, with odd values."""
    path = tmp_path_factory.mktemp("odd") / "d.db"
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="odd", direction="maximize")
    curve = {1: 0.5, 2: float("nan"), 3: float("inf"), 4: -float("inf")}
    params = {"lr": 0.1, "layers": 2, "norm": None}
    given: dict[str, Any] = {"params": params, "distributions": SPACE, "intermediate_values": curve}
    study.add_trial(create_trial(value=0.7, user_attrs={"a": [1], "verdict": "x" * 200}, **given))
    study.add_trial(create_trial(value=float("inf"), params={"lr": 0.2}, distributions={"lr": SPACE["lr"]}))
    study.add_trial(create_trial(state=TrialState.PRUNED, system_attrs={"constraints": [1.0]}, **given))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"b": 1}))
    study.enqueue_trial({"lr": 0.3, "layers": 1, "norm": "batch"})
    study.ask(SPACE).report(0.1, 1)
    study.ask()
    save_note(study, "a *person* wrote this")
    return path


@pytest.fixture
def study(written: Path, tmp_path: Path) -> optuna.Study:
    """A copy of that study."""
    shutil.copy(written, tmp_path / "d.db")
    return optuna.load_study(study_name="odd", storage=f"sqlite:///{tmp_path}/d.db")


def url_of(study: optuna.Study) -> str:
    return str(study._storage._backend.engine.url)  # type: ignore[attr-defined]


@pytest.mark.parametrize("query", ["", "?after=0", "?after=2", "?after=100", "?after=-1", "?after=x"])
def test_study_details_equal_those_of_optuna_dashboard(study: optuna.Study, ask: Ask, query: str) -> None:
    theirs = ask(wsgi(study._storage), f"/api/studies/1{query}")
    ours = ask(make_app(url_of(study), Access()), f"/api/studies/1{query}", **LOCAL)
    assert ours.status == theirs.status
    assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]
    assert in_order(json.loads(ours.body)) == in_order(json.loads(theirs.body))


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 200), ("?trial_ids=0,2", 200), ("?trial_ids=99", 404), ("?trial_ids=x", 400)],
)
def test_csv_equals_that_of_optuna_dashboard(study: optuna.Study, ask: Ask, query: str, status: int) -> None:
    theirs = ask(wsgi(study._storage), f"/csv/1{query}")
    ours = ask(make_app(url_of(study), Access()), f"/csv/1{query}", **LOCAL)
    assert ours.status == theirs.status == status
    assert status != 200 or ours.body == theirs.body


def test_large_answer_is_compressed_if_accepted(study: optuna.Study, ask: Ask) -> None:
    app = make_app(url_of(study), Access())
    small = ask(app, "/api/studies/1", **LOCAL)
    study.add_trial(create_trial(value=0.1, user_attrs={"long": "x" * 100_000}))
    app = make_app(url_of(study), Access())
    compressed = ask(app, "/api/studies/1", **LOCAL)
    plain = ask(app, "/api/studies/1", HTTP_ACCEPT_ENCODING="", **LOCAL)
    encodings = [each.headers.get("Content-Encoding") for each in (small, compressed, plain)]
    assert encodings == [None, "gzip", None]
    assert compressed.body == plain.body


def test_prepare_computes_the_first_answer(
    watched_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    read = Annotations._read

    def count_read(annotations: Annotations, study_id: int, name: str) -> StudyAnnotations | None:
        made.append("study")
        return read(annotations, study_id, name)

    def count_trial(*arguments: Any) -> Any:
        made.append("trial")
        return serialize_frozen_trial(*arguments)

    monkeypatch.setattr(Annotations, "_read", count_read)
    monkeypatch.setattr(trial_texts, "serialize_frozen_trial", count_trial)
    app = make_app(f"sqlite:///{watched_path}", Access())
    app.prepare()
    (thread,) = [each for each in threading.enumerate() if each.name == "prepare"]
    thread.join()
    over = made.count("trial")
    assert made.count("study") == 1 and over == 24
    assert ask(app, "/api/studies/1", **LOCAL).status == 200
    assert made.count("study") == 1
    assert made.count("trial") == over + 1  # the one that runs


def in_order(answer: Any) -> Any:
    """Return the answer with unordered lists sorted."""
    if isinstance(answer, dict):
        return {name: in_order(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return (
            sorted(map(in_order, answer), key=repr) if is_unordered(answer) else list(map(in_order, answer))
        )
    return answer


def is_unordered(items: list[Any]) -> bool:
    return all(isinstance(each, dict) and ({"key"} <= set(each) or {"pytype"} <= set(each)) for each in items)


def test_trial_texts_serializes_a_trial_again_when_it_ends(study: optuna.Study) -> None:
    texts = TrialTexts()

    def sent() -> Any:
        return json.loads(texts.to_json(1, study.get_trials(deepcopy=False), {}, None, ()))[4]

    assert sent()["state"] == "Running"
    study.tell(4, 0.9)
    assert (sent()["state"], sent()["values"]) == ("Complete", [0.9])


def test_trial_texts_caches_an_ended_trial_by_identity() -> None:
    texts = TrialTexts()
    trial = with_curve(0)
    assert json.loads(texts.to_json(1, [trial], {}, None, ()))[0]["values"] == [0.5]
    trial.values = [0.6]
    assert json.loads(texts.to_json(1, [trial], {}, None, ()))[0]["values"] == [0.5]
    assert json.loads(texts.to_json(1, [with_curve(0, value=0.7)], {}, None, ()))[0]["values"] == [0.7]


def test_trial_texts_sends_a_part_of_thousands_of_curves() -> None:
    trials = [with_curve(number) for number in range(5000)]
    trials[4999].state = TrialState.RUNNING

    def drawn(trials: list[FrozenTrial], best: set[int]) -> list[int]:
        sent = json.loads(TrialTexts().to_json(1, trials, {}, None, best))
        return [trial["number"] for trial in sent if trial["intermediate_values"]]

    assert len(drawn(trials, {7})) == 32
    assert {0, 167, 7, 4999} <= set(drawn(trials, {7}))
    assert len(drawn(trials[:100], set())) == 100


def test_trial_texts_of_many_trials_omits_distributions() -> None:
    trials = [
        create_trial(value=0.5, params={"lr": 0.1}, distributions={"lr": SPACE["lr"]}) for _ in range(101)
    ]
    for number, trial in enumerate(trials):
        trial.number = trial._trial_id = number
    texts = TrialTexts()
    for count, whole in ((100, True), (101, False), (100, True)):
        sent = json.loads(texts.to_json(1, trials[:count], {}, None, set()))
        assert {"distribution" in trial["params"][0] for trial in sent} == {whole}
        assert sent[0]["params"][0]["param_internal_value"] == 0.1


def with_curve(number: int, value: float = 0.5) -> FrozenTrial:
    trial = create_trial(value=value, intermediate_values={1: 0.5})
    trial.number = trial._trial_id = number
    return trial
