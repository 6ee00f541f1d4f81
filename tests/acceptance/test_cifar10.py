"""The bundled study on real CIFAR-10 images, reduced; skipped where `$HPO_TEST_CIFAR10` is not set."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.helpers.hpo_command import Hpo

IMAGES = os.environ.get("HPO_TEST_CIFAR10")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(IMAGES is None, reason="HPO_TEST_CIFAR10 does not name a folder with CIFAR-10")
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_the_best_of_a_few_random_trials_beats_45_percent(hpo: Hpo) -> None:
    assert IMAGES is not None
    real = replace(hpo, environment=hpo.environment | {"HPO_DATA": IMAGES})
    reduced = ["--trials", "6", "--set", "train_images=10000", "--set", "epochs=4"]
    done = real("run", "cifar10_random", *reduced, timeout=1700)
    assert done.returncode == 0, done.stderr
    assert real.rows("select distinct dataset from results") == [{"dataset": "cifar10"}]
    best = real.rows("select max(value) as best from results")[0]["best"]
    assert best > 0.45
