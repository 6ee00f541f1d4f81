"""How long it takes to draw a configuration, after 100 and after 1,000 trials: ``python draws.py``.

The first draw of a worker reads every trial; later ones read only new ones. A learning sampler then draws.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bulk_study import make_study, study_file
from machine import machine, table
from sqlalchemy import text

from hpo.config.parsing.load import parse_study
from hpo.config.study import StudySpec
from hpo.search.samplers.optuna import population
from hpo.search.samplers.registry import LEARNING
from hpo.search.suggest import Suggestions
from hpo.storage.engine import writing
from hpo.storage.store import ResultsStore
from hpo.training.device import prepare_process

_GENERATIONS = """
INSERT INTO trial_system_attributes (trial_id, key, value_json)
SELECT trial_id, 'cma:generation', number / :population FROM trials WHERE study_id = :study AND number >= 10
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--samplers", nargs="+", default=["random", "sobol", *LEARNING])
    parser.add_argument("-n", type=int, default=5, help="draws after the first")
    arguments = parser.parse_args()
    prepare_process(1)
    print(machine())
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'hpo.db')}"
        for trials in arguments.trials:
            rows += _measure(url, trials, arguments.samplers, arguments.n)
    print(table(["sampler", "trials", "n", "first s", "later s", "least s"], rows))


def _measure(url: str, trials: int, samplers: list[str], n: int) -> Iterator[list[str]]:
    store = ResultsStore(url)
    name = f"after-{trials}"
    study_id = make_study(store, name, trials)
    for sampler in samplers:
        spec = parse_study(study_file(name, trials), "bulk", [f"sampler={sampler}"])
        if sampler == "cmaes":
            _in_generations(store, study_id, spec)
        _seconds(Suggestions(store, study_id, spec.space), spec, trials)  # loads what a process loads once
        suggestions = Suggestions(store, study_id, spec.space)
        first = _seconds(suggestions, spec, trials)
        later = [_seconds(suggestions, spec, trials + each) for each in range(1, n + 1)]
        median = statistics.median(later)
        yield [sampler, f"{trials:,}", str(n), f"{first:.3f}", f"{median:.3f}", f"{min(later):.3f}"]


def _seconds(suggestions: Suggestions, spec: StudySpec, slot: int) -> float:
    started = time.perf_counter()
    suggestions.suggest(spec, "main", slot)
    return time.perf_counter() - started


def _in_generations(store: ResultsStore, study_id: int, spec: StudySpec) -> None:
    with writing(store.engine) as connection:
        connection.execute(text(_GENERATIONS), {"population": population(spec), "study": study_id})


if __name__ == "__main__":
    main()
