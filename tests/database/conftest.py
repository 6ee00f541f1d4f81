"""What the database tests share: a study on either database, and a worker's way through a trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import NullPool, select

from hpo.config.image_format import STANDARD, ImageFormat
from hpo.config.study import StudySpec
from hpo.data.division import DRAWN, Division
from hpo.queue.leases import claim
from hpo.queue.slots import register_study
from hpo.records import EpochResult, Outcome
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from tests.conftest import NewDatabase
from tests.helpers.moving_studies import add_a_stage, write_file
from tests.helpers.one_of_everything import fill, make_ours
from tests.helpers.population import populate

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
DISTRIBUTIONS = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "activation": CategoricalDistribution(["relu", "tanh"]),
}


IN_PYTHON = {
    "test_importance",
    "test_rungs",
    "test_stages",
    "test_stages_reported",
    "test_study_findings",
    "test_suggest",
}
"""Modules whose subject is decided in Python; the other modules try the SQL that they use on both engines."""
ON_BOTH = {
    "test_attempts": {"test_what_lies_beyond_the_place_is_forgotten"},
    "test_enqueue": {"test_a_configuration_takes_the_place_of_the_next_draw"},
    "test_frequent_failure": {"test_early_ends_count_only_if_no_trial_is_complete"},
    "test_lease_keeper": {
        "test_a_stopped_study_gives_no_slots_until_it_is_resumed",
        "test_it_renews_each_third_of_the_lease",
        "test_the_thread_holds_the_lease_and_reports_when_it_is_lost",
    },
    "test_optuna_trials": {"test_rows_of_a_trial_are_those_that_optuna_writes"},
    "test_plain_optuna": {
        "test_an_upgrade_reports_what_it_does_and_keeps_optunas_rows",
        "test_status_lists_the_study_and_query_reads_its_parameters",
    },
    "test_query": {
        "test_study_status_names_the_best_trial_and_the_workers",
        "test_the_reading_engine_cannot_write",
        "test_wrong_names_and_numbers_are_explained",
    },
    "test_slots": {
        "test_a_new_study_that_is_refused_is_not_kept",
        "test_a_study_is_submitted_once_with_its_slots",
        "test_a_study_that_began_or_was_enqueued_to_is_not_withdrawn",
        "test_more_trials_add_slots_and_fewer_remove_unclaimed_ones",
        "test_progress_counts_every_state",
    },
    "test_transfer": {
        "test_a_file_has_one_instant_of_the_study",
        "test_every_view_and_optunas_part_are_the_same_after_the_move",
        "test_the_slot_that_was_running_is_claimed_first_and_resumed",
    },
}
"""The other tests of these modules send PostgreSQL no statement that no quick test sends it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the PostgreSQL cases that try nothing else, and further moves to or from it, as slow."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("postgres"):
            module, test = item.path.stem, item.name.partition("[")[0]
            repeats = module in IN_PYTHON or test not in ON_BOTH.get(module, {test})
            moved_too = module == "test_transfer" and item.name.endswith("-theirs]")
            if repeats or moved_too or "[postgresql-postgresql" in item.name:
                item.add_marker(pytest.mark.slow)


@dataclass(frozen=True)
class Images:
    """A data set as far as a study stores it."""

    name: str = "synthetic"
    fingerprint: str = "f" * 64
    origin: str = "drawn here"
    classes: tuple[str, ...] = tuple("0123456789")
    train_labels: range = range(50_000)
    class_counts: tuple[int, ...] = (5_000,) * 10
    division: Division = DRAWN
    format: ImageFormat = STANDARD


class Bench:
    """A store and short ways to do in a test what a worker does."""

    def __init__(self, store: ResultsStore) -> None:
        self.store = store
        self.images: Any = Images()

    def spec(self, name: str = "first", trials: int = 3, **changes: Any) -> StudySpec:
        document = {
            "study": name,
            "trials": trials,
            "fixed": {"epochs": 3},
            "space": {"lr": {"log": [1e-4, 1.0]}, "activation": {"choice": ["relu", "tanh"]}},
        }
        return StudySpec.model_validate({**document, **changes})

    def register(self, name: str = "first", trials: int = 3, **changes: Any) -> int:
        return register_study(self.store, self.spec(name, trials, **changes), self.images)

    def claim(self, study_id: int, worker: str = "host:1:0.00", seconds: float = 60.0) -> Lease:
        lease = claim(self.store, study_id, worker, seconds)
        assert lease is not None
        return lease

    def begin(self, lease: Lease, **drawn: Any) -> tuple[int, int]:
        params = {"lr": 0.1, "activation": "relu", **drawn}
        return self.store.begin_trial(
            lease,
            params=params,
            distributions=DISTRIBUTIONS,
            configuration=self.spec().configuration(params).applicable(),
            device="cpu",
        )

    def trial(self, study_id: int, outcome: Outcome, accuracies: tuple[float, ...] = (), **drawn: Any) -> int:
        """Run a whole trial; its id."""
        lease = self.claim(study_id)
        trial_id, _ = self.begin(lease, **drawn)
        self.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        for epoch, accuracy in enumerate(accuracies, start=1):
            self.store.record_epoch(lease, trial_id, self.record(epoch, accuracy))
        self.store.finish_trial(lease, trial_id, outcome)
        return trial_id

    @staticmethod
    def record(epoch: int, accuracy: float = 0.5, **changes: Any) -> EpochResult:
        numbers = {
            "train_loss": 1.5,
            "train_accuracy": 0.4,
            "val_loss": 1.6,
            "val_accuracy": accuracy,
            "lr": 0.1,
            "seconds": 2.0,
            "images": 100,
            "images_per_second": 50.0,
        }
        return EpochResult(epoch=epoch, **{**numbers, **changes})

    @contextmanager
    def plain_optuna(self) -> Iterator[RDBStorage]:
        """Optuna's storage as any program opens it, which knows nothing of hpo."""
        url = self.store.url.replace("postgresql://", "postgresql+psycopg://")
        yield RDBStorage(url, engine_kwargs={"poolclass": NullPool})

    def optuna_trials(self, name: str = "first") -> list[FrozenTrial]:
        with self.plain_optuna() as storage:
            return optuna.load_study(study_name=name, storage=storage).get_trials()

    def rows(self, table: Any, **where: Any) -> list[Any]:
        with self.store.engine.connect() as connection:
            return list(
                connection.execute(select(getattr(table, "__table__", table)).filter_by(**where)).all()
            )


def write_everything(url: str) -> None:
    """Fill the database with one of everything."""
    with ResultsStore(url) as store:
        fill(store)


def write_everything_and_a_stage(url: str) -> None:
    with ResultsStore(url) as store:
        fill(store)
        add_a_stage(store)


def write_a_study(url: str) -> None:
    with ResultsStore(url) as store:
        make_ours(store, "already-here")


def write_known_trials(url: str) -> None:
    """Fill the database with the study `known`."""
    with ResultsStore(url) as store:
        populate(Bench(store))


@pytest.fixture
def store(storage_url: str) -> Iterator[ResultsStore]:
    with ResultsStore(storage_url) as opened:
        yield opened


@pytest.fixture
def bench(store: ResultsStore) -> Bench:
    return Bench(store)


@pytest.fixture(params=ENGINES)
def there(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """The database that a study comes from."""
    return new_database(request.param, write_everything_and_a_stage)


@pytest.fixture(params=ENGINES)
def here(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """The database that it goes to, with a study of its own, so that ids differ."""
    return new_database(request.param, write_a_study)


@pytest.fixture
def full(new_database: NewDatabase) -> str:
    """An SQLite database with both studies."""
    return new_database("sqlite", write_everything)


@pytest.fixture
def file(tmp_path: Path, full: str) -> Path:
    """The study `everything` as a file."""
    return write_file(full, "everything", tmp_path)
