"""`hpo importance` and the end of `hpo status`, on a study whose answer is known."""

from __future__ import annotations

import json

import pytest

from hpo.cli.app import run_command
from hpo.storage.store import ResultsStore
from tests.conftest import Fill
from tests.database.conftest import Bench
from tests.helpers.population import known_trials, populate

Capture = pytest.CaptureFixture[str]


def write_trials(url: str) -> None:
    """Write the known trials: from lr 1 on all exploded, and below the accuracy rises with lr."""
    with ResultsStore(url) as store:
        populate(Bench(store), "known", known_trials(29))


@pytest.fixture(scope="module")
def contents() -> Fill | None:
    return write_trials


@pytest.fixture
def url(storage_url: str) -> str:
    return storage_url


def ask(url: str, capsys: Capture, *command: str) -> str:
    capsys.readouterr()
    assert run_command([*command, "--storage", url]) == 0
    return capsys.readouterr().out


def test_it_reports_what_decides(url: str, capsys: Capture) -> None:
    found = json.loads(ask(url, capsys, "importance", "known", "--json"))
    assert (found["study"], found["trials"]) == ("known", 29)
    trains, value = found["answers"]
    assert (trains["question"], trains["trials"]) == ("trains", 29)
    known = known_trials(29)
    good = sum(trial.state == "complete" and (trial.value or 0) > 0.1174 for trial in known)
    assert trains["good"] == good
    assert trains["sure"] == ["lr"] and trains["effects"][0]["name"] == "lr"
    assert trains["statements"][0].startswith("lr explains ")
    assert value["question"] == "value" and value["trials"] == good
    assert sum(found["best_tenth"].values()) == pytest.approx(1)


def test_importance_table_is_whole_and_status_names_the_strongest(url: str, capsys: Capture) -> None:
    found = json.loads(ask(url, capsys, "importance", "known", "--json"))
    text = ask(url, capsys, "importance", "known")
    lines = text.splitlines()
    assert lines[0].startswith("known  29 trials, ")
    assert lines[2].split() == [
        "hyperparameter", "trains", "p", "(trains)", "accuracy", "p", "(accuracy)", "best", "tenth",
    ]  # fmt: skip
    assert {line.split()[0] for line in lines[3:5]} == {"lr", "activation"}
    statements = [each for answer in found["answers"] for each in answer["statements"]]
    assert lines[-len(statements) :] == statements
    status = ask(url, capsys, "status", "known")
    assert f"what matters\n  note  {statements[0]}" in status
    assert json.loads(ask(url, capsys, "status", "known", "--json"))["importance"] == statements


def test_an_unknown_study_and_one_without_trials(bench: Bench, capsys: Capture) -> None:
    url = str(bench.store.url)
    bench.register("empty", trials=2)
    assert "too few finished trials to tell what matters" in ask(url, capsys, "importance", "empty")
    assert run_command(["importance", "nowhere", "--storage", url]) == 2
    assert "there is no study nowhere in this database: it has empty" in capsys.readouterr().err
