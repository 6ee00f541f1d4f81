"""A study whose network changes global state, and another one after it in the same worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hpo.config.study import StudySpec
from hpo.storage.engine import reading
from hpo.storage.store import ResultsStore
from hpo.training.process_state import known_parts, preserved, read_state
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study

SPOILER = """
import io, logging, os, random, signal, sys, warnings
import numpy as np
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
os.environ["HPO_ARTIFACTS"] = "/nowhere"


class Spoiler(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, classes, dtype=torch.float32)

    def forward(self, images):
        if self.training:
            torch.set_default_device("cpu")
            torch.backends.mkldnn.enabled = False
            torch.set_flush_denormal(False)
            random.seed(1)
            np.random.seed(1)
            np.seterr(all="raise")
            warnings.simplefilter("error")
            logging.disable(logging.CRITICAL)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.chdir("/")
            sys.path.clear()
            os.environ.clear()
            sys.stdout = io.StringIO()
        return self.dense(images.flatten(1).float())


def build(options, *, in_shape, classes):
    return Spoiler(classes)
"""


def _spec(study: str, **fixed: Any) -> StudySpec:
    common = {"dataset": "synthetic", "train_images": 100, "epochs": 1, "batch_size": 50, "depth": 2}
    small = common | {"width": 4, "precision": "fp32"}
    document = {"study": study, "trials": 1, "fixed": small | fixed, "space": {"lr": {"log": [1e-3, 1e-1]}}}
    return StudySpec.model_validate(document)


def _weights(url: str, *specs: StudySpec) -> dict[str, str]:
    """Train all trials in one worker, a study after the other; the hash of the weights of each."""
    with ResultsStore(url) as store:
        for priority, spec in enumerate(reversed(specs)):
            submit_study(store, spec, priority)
        names = tuple(spec.study for spec in specs)
        serve(WorkOrder(url, names, "cpu", 2), lambda event: None, lambda: None, lambda ready: None)
        with reading(store.engine) as connection:
            rows = connection.execute(text("SELECT study, verdict, weights_hash FROM results")).all()
    return {row.study: row.weights_hash or row.verdict for row in rows}


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_study_after_one_that_changes_global_state_is_the_same(
    storage_url: str, new_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spoiler_of_states.py").write_text(SPOILER)
    monkeypatch.chdir(tmp_path)
    with preserved():
        alone = _weights(new_database("sqlite"), _spec("plain"))
        parts = known_parts()
        before = read_state(parts)
        found = _weights(storage_url, _spec("spoils", model="spoiler_of_states:build"), _spec("plain"))
        changed = [
            each for each, value in read_state(parts).items() if not parts[each].same(value, before[each])
        ]
    assert found["plain"] == alone["plain"]
    assert len(found["spoils"]) == len(found["plain"]), found  # a hash, not a verdict
    # Training seeds torch's generator; what it loads makes loggers.
    assert set(changed) <= {"torch's generator", "Python's generator", "loggers"}
