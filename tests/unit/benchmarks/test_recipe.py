"""The benchmark of the recipe: what it counts, and that it can be stopped after any epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import recipe
import torch

from hpo.config.configuration import Configuration
from hpo.config.parsing.load import load_study
from hpo.data.datasets import Dataset
from hpo.models.airbench import airbench94
from hpo.models.options import NetworkOptions

RUN = recipe.Run("budgets", "0.04", 0, {})


def _configuration(epochs: int) -> Configuration:
    base = load_study(str(recipe.STUDY)).image_configuration({})
    return base.model_copy(
        update={"width": 1, "epochs": epochs, "batch_size": 32, "lookahead_steps": 2, "precision": "fp32"}
    )


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    random = np.random.default_rng(0)
    labels = np.arange(64, dtype=np.int64) % 10
    images = random.integers(0, 256, (64, 3, 32, 32)).astype(np.uint8)
    classes = tuple("abcdefghij")
    return Dataset("synthetic", classes, images, labels, images, labels, "tiny", "made for a test")


def test_every_planned_training_is_a_valid_configuration_within_its_budget() -> None:
    base = load_study(str(recipe.STUDY)).image_configuration({})
    runs = recipe.planned(["budgets", "ablation"], 2)
    assert len({run.key for run in runs}) == len(runs) == 2 * (3 + len(recipe.ABLATION))
    for run in runs:
        Configuration(**{**base.model_dump(), **run.changes})
    for budget, changes in recipe.BUDGETS.items():
        network = airbench94(NetworkOptions(width=changes["width"], stem="whitened"), classes=10)
        images = changes["epochs"] * 48 * 1024
        petaflop = 6 * recipe.multiplications(network, (3, 32, 32)) * images / 1e15
        assert 0.9 * budget < petaflop <= 1.02 * budget


def test_a_stopped_training_resumes_to_the_same_result(dataset: Dataset, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    configuration = _configuration(2)
    whole = recipe.trained(RUN, configuration, dataset, tmp_path / "whole.state")
    state = tmp_path / "stopped.state"
    saved = recipe._save

    def stopping(*arguments: object) -> None:
        saved(*arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(recipe, "_save", stopping)
        recipe.trained(RUN, configuration, dataset, state)
    resumed = recipe.trained(RUN, configuration, dataset, state)
    same = {"seconds": 0.0, "gigaflops": 0.0}
    assert replace(resumed, **same) == replace(whole, **same)
    weights = [torch.load(each, weights_only=True)["model"] for each in (state, tmp_path / "whole.state")]
    assert all(torch.equal(each, weights[1][name]) for name, each in weights[0].items())


def test_results_are_read_and_reported(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    line = (
        '{"key": "budgets|0.04|0", "settings": "x", "plain": 0.86, "over_views": 0.87, "petaflop": 0.039, '
        '"seconds": 120, "gigaflops": 325.0, "precision": "bf16", "threads": 2}\n'
    )
    file.write_text(line + '{"key": "budgets|0.12')
    results = recipe.read(file)
    assert list(results) == ["budgets|0.04|0"]
    table = recipe.report(results, 1)
    assert "86.00" in table and "87.00" in table and "ok" in table
    low = {"budgets|0.04|0": replace(results["budgets|0.04|0"], plain=0.84)}
    assert "MISSED" in recipe.report(low, 1)
