"""A large study written straight into the tables, ours and Optuna's, as workers would have left it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from optuna.distributions import distribution_to_json
from sqlalchemy import Connection, text

from hpo.config.parsing.load import parse_study
from hpo.config.study import StudySpec
from hpo.queue.slots import register_study
from hpo.search.samplers.registry import sample_slot
from hpo.storage.engine import writing
from hpo.storage.optuna.distributions import optuna_distribution
from hpo.storage.store import ResultsStore

STUDY = """\
study: {name}
trials: {trials}
fixed: {{dataset: synthetic, epochs: {epochs}}}
space:
  lr:           {{log: [1.0e-4, 1.0]}}
  weight_decay: {{log: [1.0e-6, 1.0e-1]}}
  activation:   {{choice: [relu, leaky_relu, prelu, elu, tanh, sigmoid, maxout]}}
  initializer:  {{choice: [he, xavier, orthogonal, lsuv]}}
  batch_norm:   {{choice: [none, before, after]}}
  optimizer:    {{choice: [sgd, adam]}}
  momentum:     {{uniform: [0.8, 0.99], when: {{optimizer: sgd}}}}
  batch_size:   {{choice: [32, 64, 128]}}
"""
BEGAN = datetime(2026, 11, 1)
WORKERS = 8
Row = Sequence[Any]


@dataclass(frozen=True)
class Images:
    """The properties of a data set that a study stores."""

    name: str = "synthetic"
    fingerprint: str = "f" * 64
    origin: str = "drawn here"
    classes: tuple[str, ...] = tuple("0123456789")
    train_labels: range = range(50_000)
    class_counts: tuple[int, ...] = (5_000,) * 10


@dataclass(frozen=True)
class Fate:
    """How a made-up trial ended. Even one that ends early does so in its last epoch, to have a full curve."""

    state: str
    optuna_state: str
    value: float | None
    cause: str
    epochs_done: int
    best_epoch: int | None


def study_file(name: str, trials: int, epochs: int = 20) -> str:
    """Return the text of the study file."""
    return STUDY.format(name=name, trials=trials, epochs=epochs)


def make_study(store: ResultsStore, name: str, trials: int, epochs: int = 20, layers: int = 6) -> int:
    """Submit a study and write all its trials; return its id."""
    spec = parse_study(study_file(name, trials, epochs), "bulk")
    study_id = register_study(store, spec, Images())
    with writing(store.engine) as connection:
        first = 1 + (connection.scalar(text("SELECT coalesce(max(trial_id), 0) FROM trials")) or 0)
        _Writer(connection, study_id, spec, first, epochs, layers).write()
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))  # as autovacuum would have done meanwhile
    return study_id


def _fate(configuration: dict[str, Any], epochs: int, chance: random.Random) -> Fate:
    lr = configuration["lr"]
    if lr > 0.2 and configuration["batch_norm"] == "none":
        return Fate("pruned", "PRUNED", None, "exploded", epochs - 1, None)
    if chance.random() < 0.02:
        return Fate("failed", "FAIL", None, "error", epochs - 1, None)
    if lr < 3e-4:
        return Fate("complete", "COMPLETE", 0.1 + 0.02 * chance.random(), "did not learn", epochs, 1)
    value = 0.85 - 0.05 * (math.log10(lr) + 1.5) ** 2 + chance.gauss(0, 0.02)
    if chance.random() < 0.3:
        return Fate("pruned", "PRUNED", value / 2, "healthy", epochs - 1, epochs - 1)
    return Fate("complete", "COMPLETE", value, "healthy", epochs, epochs - chance.randrange(4))


class _Writer:
    """Writes rows to every table: with COPY on PostgreSQL, in one statement on SQLite."""

    def __init__(
        self, connection: Connection, study_id: int, spec: StudySpec, first: int, epochs: int, layers: int
    ) -> None:
        self._connection, self._study_id, self._spec = connection, study_id, spec
        self._first, self._epochs, self._layers = first, epochs, layers
        chance = random.Random(0)
        self._drawn = [sample_slot(spec, slot) for slot in range(spec.trials)]
        self._configurations = [spec.configuration(drawn).applicable() for drawn in self._drawn]
        self._fates = [_fate(each, epochs, chance) for each in self._configurations]

    def write(self) -> None:
        """Write the whole study."""
        self._insert(
            "trials", "trial_id number study_id state datetime_start datetime_complete", self._trials()
        )
        self._insert("trial_params", "trial_id param_name param_value distribution_json", self._params())
        self._insert("trial_values", "trial_id objective value value_type", self._values())
        self._insert(
            "trial_intermediate_values",
            "trial_id step intermediate_value intermediate_value_type",
            ((row[0], row[1], row[5], "FINITE") for row in self._curves()),
        )
        self._insert("trial_user_attributes", "trial_id key value_json", self._attributes())
        self._insert(
            "hpo_trial",
            "trial_id study_id stage slot configuration outcome value verdict cause confidence remedy "
            "best_epoch epochs seconds images images_per_second parameters weights_hash worker device "
            "started_at ended_at",
            self._results(),
        )
        self._insert(
            "hpo_attempt",
            "trial_id attempt worker host pid device started_at ended_at from_epoch to_epoch outcome",
            self._attempts(),
        )
        self._insert(
            "hpo_epoch",
            "trial_id epoch train_loss train_accuracy val_loss val_accuracy lr seconds images "
            "images_per_second ended_at",
            self._curves(),
        )
        self._insert(
            "hpo_layer",
            "trial_id step position layer epoch activation_mean activation_std dead saturated gradient_norm "
            "update_ratio",
            self._layer_rows(),
        )
        self._insert(
            "hpo_finding",
            "trial_id check_name severity step epoch layer value threshold message",
            self._findings(),
        )
        self._settle()

    def _insert(self, table: str, columns: str, rows: Iterator[Row]) -> None:
        names = columns.split()
        driver = self._connection.connection.driver_connection
        assert driver is not None
        if self._connection.dialect.name == "sqlite":
            marks = ", ".join("?" * len(names))
            driver.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)
            return
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def _settle(self) -> None:
        """End the slots, and advance PostgreSQL's sequence past the trials' ids."""
        self._connection.execute(
            text("UPDATE hpo_slot SET state = 'done', trial_id = :first + slot WHERE study_id = :study_id"),
            {"first": self._first, "study_id": self._study_id},
        )
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(
                text("SELECT setval('trials_trial_id_seq', :last)"),
                {"last": self._first + len(self._fates) - 1},
            )

    def _each(self) -> Iterator[tuple[int, int, Fate, str, str]]:
        """Yield trial_id, number, fate, started, ended."""
        for number, fate in enumerate(self._fates):
            began = BEGAN + timedelta(seconds=40 * (number // WORKERS))
            ended = began + timedelta(seconds=2 * fate.epochs_done)
            yield self._first + number, number, fate, f"{began}.000000", f"{ended}.000000"

    def _trials(self) -> Iterator[Row]:
        for trial_id, number, fate, began, ended in self._each():
            yield trial_id, number, self._study_id, fate.optuna_state, began, ended

    def _params(self) -> Iterator[Row]:
        distributions = {name: optuna_distribution(each) for name, each in self._spec.space.items()}
        texts = {name: distribution_to_json(each) for name, each in distributions.items()}
        for trial_id, number, *_ in self._each():
            for name, value in self._drawn[number].items():
                yield trial_id, name, distributions[name].to_internal_repr(value), texts[name]

    def _values(self) -> Iterator[Row]:
        for trial_id, _, fate, *_ in self._each():
            if fate.value is not None:
                yield trial_id, 0, fate.value, "FINITE"

    def _attributes(self) -> Iterator[Row]:
        for trial_id, number, fate, *_ in self._each():
            attributes = {
                "stage": "main",
                "slot": number,
                "verdict": fate.cause,
                "best_epoch": fate.best_epoch,
            }
            for key, value in attributes.items():
                yield trial_id, key, json.dumps(value)

    def _results(self) -> Iterator[Row]:
        for trial_id, number, fate, began, ended in self._each():
            seconds = 2.0 * fate.epochs_done
            verdict = (
                fate.cause if fate.cause == "healthy" else f"{fate.cause}: a sentence about what was seen"
            )
            yield (
                trial_id, self._study_id, "main", number, json.dumps(self._configurations[number]),
                fate.state, fate.value, verdict, fate.cause, 0.9, "lower lr to 0.1 or less", fate.best_epoch,
                fate.epochs_done, seconds, 10_000 * fate.epochs_done, 5000.0, 90_000, f"{number:064x}",
                _worker(number), "cpu", began, ended,
            )  # fmt: skip

    def _attempts(self) -> Iterator[Row]:
        for trial_id, number, fate, began, ended in self._each():
            worker, done = _worker(number), fate.epochs_done
            yield trial_id, 1, worker, "host", number % WORKERS, "cpu", began, ended, 0, done, fate.state

    def _curves(self) -> Iterator[Row]:
        for trial_id, number, fate, _, ended in self._each():
            lr = self._configurations[number]["lr"]
            for epoch in range(1, fate.epochs_done + 1):
                share = (fate.value or 0.1) * epoch / fate.epochs_done
                yield (
                    trial_id, epoch, 2.3 / epoch, share + 0.01, 2.4 / epoch, share, lr, 2.0, 10_000,
                    5000.0, ended,
                )  # fmt: skip

    def _layer_rows(self) -> Iterator[Row]:
        for trial_id, _, fate, *_ in self._each():
            for epoch in range(1, fate.epochs_done + 1):
                for position in range(self._layers):
                    yield (
                        trial_id, 150 * epoch, position, f"conv{position}", epoch, 0.41, 0.83,
                        0.02 * position, 0.0, 1.3e-2, 1.1e-3,
                    )  # fmt: skip

    def _findings(self) -> Iterator[Row]:
        checks = ("initial_loss", "regularized_loss", "overfit_small", "learned")
        for trial_id, _, fate, *_ in self._each():
            for check in checks:
                yield (
                    trial_id,
                    check,
                    "pass",
                    0,
                    0,
                    "",
                    2.303,
                    2.303,
                    "the first loss is 2.303; ln 10 = 2.303",
                )
            if fate.cause != "healthy":
                severity = "fatal" if fate.cause == "exploded" else "warn"
                yield trial_id, fate.cause, severity, 100, 1, "", 9.1, 6.9, "a sentence about what was seen"


def _worker(number: int) -> str:
    return f"host:{number % WORKERS}:1795504240.36"
