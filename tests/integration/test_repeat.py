"""`hpo repeat`: a trial that a worker trained comes out the same, and what is otherwise is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from sqlalchemy import text

from hpo import provenance
from hpo.cli.app import run_command
from hpo.config.study import StudySpec
from hpo.storage.store import ResultsStore
from hpo.training.precision import processor
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study
from tests.conftest import Fill

Capture = pytest.CaptureFixture[str]
FIXED = {
    "dataset": "synthetic",
    "train_images": 300,
    "width": 4,
    "depth": 2,
    "epochs": 2,
    "batch_size": 50,
    "augmentation": "flip_crop",
    "dropout": 0.2,
    "batch_norm": "none",
}


@pytest.fixture(scope="module")
def contents() -> Fill:
    return train


def train(url: str) -> None:
    """Train a study with a sound trial and one that explodes at once."""
    space = {"lr": {"choice": [0.05, 1e6]}}
    spec = StudySpec.model_validate(
        {"study": "s", "trials": 2, "sampler": "grid", "fixed": FIXED, "space": space}
    )
    with ResultsStore(url) as store:
        submit_study(store, spec)
    serve(WorkOrder(url, ("s",), "cpu", 2), lambda event: None, lambda: None, lambda ready: None)


@pytest.fixture
def url(storage_url: str) -> str:
    return storage_url


def repeat(capsys: Capture, url: str, *options: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run_command(["repeat", "s", "0", "--json", "--storage", url, *options]) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def change(url: str, statement: str) -> None:
    with ResultsStore(url) as store, store.engine.begin() as connection:
        connection.execute(text(statement))


def stored(url: str) -> list[Any]:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        tables = ("trial", "attempt", "epoch", "slot", "finding", "layer")
        return [
            connection.execute(text(f"SELECT * FROM hpo_{table} ORDER BY 1, 2")).all() for table in tables
        ]


def test_it_comes_out_the_same_and_nothing_stored_is_touched(url: str, capsys: Capture) -> None:
    before = stored(url)
    answer = repeat(capsys, url)
    assert (answer["matches"], answer["same_curve"], answer["same_weights"]) == (True, True, True)
    assert answer["weights_now"] == answer["weights_then"]
    assert len(answer["weights_now"]) == 64
    assert answer["differs_from_then"] == []
    assert [(each["epoch"], each["differences"]) for each in answer["epochs"]] == [(1, {}), (2, {})]
    assert stored(url) == before


def test_the_first_difference_is_named(url: str, capsys: Capture) -> None:
    change(url, "UPDATE hpo_epoch SET val_loss = 2.5 WHERE epoch = 2")
    change(url, "UPDATE hpo_trial SET weights_hash = 'abc' WHERE slot = 0")
    answer = repeat(capsys, url, code=1)
    assert (answer["matches"], answer["same_curve"], answer["same_weights"]) == (False, False, False)
    first, second = answer["epochs"]
    assert first["differences"] == {}
    assert list(second["differences"]) == ["val_loss"]
    assert second["differences"]["val_loss"][0] == 2.5
    capsys.readouterr()
    assert run_command(["repeat", "s", "0", "--storage", url]) == 1
    assert "does not match: it differs from epoch 2 on" in capsys.readouterr().out


def test_differences_from_then_are_reported_first(url: str, capsys: Capture) -> None:
    change(
        url,
        "UPDATE hpo_attempt SET threads = 2, code_version = '0.0.9+old', processor = 'Z80', "
        "device = 'cuda:7', "
        """package_versions = '{"torch": "1.0", "python": "2.7"}' """
        "WHERE trial_id = (SELECT trial_id FROM hpo_trial WHERE slot = 0)",
    )
    spec = "replace(CAST(spec AS text), '0.05', '0.06')"
    spec = spec if url.startswith("sqlite") else f"CAST({spec} AS json)"
    change(url, f"UPDATE hpo_study SET dataset_fingerprint = 'abc', spec = {spec}")
    assert run_command(["repeat", "s", "0", "--storage", url]) in (0, 1)
    before_training = capsys.readouterr().out.partition("epoch 1 of 2")[0]
    said = [line.removeprefix("different now  ") for line in before_training.splitlines()[1:]]
    assert said[0] == f"code: 0.0.9+old -> {provenance.running_code()}"
    now = provenance.package_versions()
    assert {f"python: 2.7 -> {now['python']}", f"torch: 1.0 -> {now['torch']}"} <= set(said)
    assert "device: cuda:7 -> cpu" in said
    assert f"processor: Z80 -> {processor(torch.device('cpu'))}" in said
    assert "the draw of lr (the stored one is trained): 0.05 -> 0.06" in said
    assert any(line.startswith("images: abc -> ") for line in said)
    # The threads of then are used, so they do not differ.
    assert not any(line.startswith("threads") for line in said)


def test_an_attempt_of_before_0003_reports_what_is_not_recorded(url: str, capsys: Capture) -> None:
    change(
        url,
        "UPDATE hpo_attempt SET threads = NULL, code_version = NULL, processor = NULL, precision = NULL, "
        "package_versions = NULL",
    )
    capsys.readouterr()
    # With another number of threads the weights may come out otherwise: it is not known how many there were.
    assert run_command(["repeat", "s", "0", "--json", "--storage", url]) in (0, 1)
    answer = json.loads(capsys.readouterr().out)
    then = {each["what"]: each["then"] for each in answer["differs_from_then"]}
    assert then == dict.fromkeys(("code", "processor", "threads", "precision"), "not recorded")


def test_a_trial_without_an_epoch_has_nothing_to_compare(url: str, capsys: Capture) -> None:
    assert run_command(["repeat", "s", "1", "--storage", url]) == 2
    assert "trial 1 of s has no epochs to compare (pruned: " in capsys.readouterr().err
    assert run_command(["repeat", "s", "5", "--storage", url]) == 2
    assert "its trials are 0 to 1" in capsys.readouterr().err


def test_an_attempt_records_its_surroundings(url: str) -> None:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        sql = (
            "SELECT device, processor, threads, precision, code_version, host FROM attempts WHERE number = 0"
        )
        row = connection.execute(text(sql)).one()
        versions = connection.scalar(text("SELECT package_versions FROM hpo_attempt"))
    assert row.device == "cpu"
    assert row.processor == processor(torch.device("cpu"))
    assert (row.threads, row.precision in ("fp32", "bf16")) == (torch.get_num_threads(), True)
    assert row.code_version == provenance.running_code()
    found = json.loads(versions) if isinstance(versions, str) else versions
    assert found == provenance.package_versions()
