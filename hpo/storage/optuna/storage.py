"""Optuna's storage: on its own connections, for samplers and the dashboard, or inside our transaction."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, NullPool, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from hpo.errors import StorageError
from hpo.storage.engine import optuna_engine_options
from hpo.storage.errors import explain, is_fault
from hpo.storage.url import parse_url

_TRIALS: Any = models.TrialModel.__table__
_distribution = lru_cache(maxsize=10_000)(json_to_distribution)
"""Trials of a study share most of their distributions, which do not change."""


class QuickReader(RDBStorage):
    """Optuna's storage, which reads all trials of a study in a tenth of the time."""

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        if states is None and trial_id_greater_than < 0:
            self.get_study_name_from_id(study_id)  # KeyError without such a study
            try:
                with self.engine.connect() as connection:
                    return _read(connection, study_id)
            except DBAPIError:
                pass  # Optuna's own read raises a better error
        found: list[FrozenTrial] = super()._get_trials(
            study_id, states, included_trial_ids, trial_id_greater_than
        )
        return found


@dataclass
class _Parts:
    """What other tables contain about a trial."""

    values: dict[int, float] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)


def _read(connection: Connection, study_id: int) -> list[FrozenTrial]:
    """Read a study's trials in the order of their ids."""
    trial = _TRIALS.c
    # First, since an ended trial gets no more rows. Rows of later trials are ignored.
    trials = connection.execute(
        select(trial.trial_id, trial.number, trial.state, trial.datetime_start, trial.datetime_complete)
        .where(trial.study_id == study_id)
        .order_by(trial.trial_id)
    ).all()
    parts: defaultdict[int, _Parts] = defaultdict(_Parts)
    _add_values(connection, study_id, parts)
    _add_params(connection, study_id, parts)
    _add_attributes(connection, study_id, parts)
    return [_frozen(row, parts[row.trial_id]) for row in trials]


def _frozen(row: Any, parts: _Parts) -> FrozenTrial:
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[parts.values[objective] for objective in sorted(parts.values)] or None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params=parts.params,
        distributions=parts.distributions,
        user_attrs=parts.user_attrs,
        system_attrs=parts.system_attrs,
        intermediate_values=parts.steps,
        trial_id=row.trial_id,
    )


def _local(stored: datetime | None) -> datetime | None:
    """Return this machine's local time, as Optuna does for the UTC that it stores; both without a zone."""
    return None if stored is None else stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def _rows(connection: Connection, study_id: int, model: Any, *names: str) -> Any:
    """Yield the trial's id and these columns of one of Optuna's tables, in the order of insertion."""
    table = model.__table__
    (order,) = table.primary_key
    statement = (
        select(table.c.trial_id, *(table.c[name] for name in names))
        .where(table.c.trial_id == _TRIALS.c.trial_id, _TRIALS.c.study_id == study_id)
        .order_by(order)
    )
    return connection.execute(statement)


def _add_values(connection: Connection, study_id: int, parts: defaultdict[int, _Parts]) -> None:
    value, step = models.TrialValueModel, models.TrialIntermediateValueModel
    for trial_id, objective, stored, kind in _rows(
        connection, study_id, value, "objective", "value", "value_type"
    ):
        parts[trial_id].values[objective] = value.stored_repr_to_value(stored, kind)
    finite = step.TrialIntermediateValueType.FINITE
    for trial_id, at, stored, kind in _rows(
        connection, study_id, step, "step", "intermediate_value", "intermediate_value_type"
    ):
        known = stored if kind is finite else step.stored_repr_to_intermediate_value(stored, kind)
        parts[trial_id].steps[at] = known


def _add_params(connection: Connection, study_id: int, parts: defaultdict[int, _Parts]) -> None:
    columns = ("param_name", "param_value", "distribution_json")
    for trial_id, name, stored, text in _rows(connection, study_id, models.TrialParamModel, *columns):
        distribution = _distribution(text)
        parts[trial_id].params[name] = distribution.to_external_repr(stored)
        parts[trial_id].distributions[name] = distribution


def _add_attributes(connection: Connection, study_id: int, parts: defaultdict[int, _Parts]) -> None:
    columns = ("key", "value_json")
    for trial_id, key, text in _rows(connection, study_id, models.TrialUserAttributeModel, *columns):
        parts[trial_id].user_attrs[key] = json.loads(text)
    for trial_id, key, text in _rows(connection, study_id, models.TrialSystemAttributeModel, *columns):
        parts[trial_id].system_attrs[key] = json.loads(text)


_ATTEMPTS = 5


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from logging each new study on stderr, without a change for a program that uses it too."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def open_optuna_storage(url: str) -> BaseStorage:
    """Return Optuna's storage for this URL, which caches finished trials.

    Raises ``StorageError`` if the database is unusable or belongs to another version of Optuna.
    """
    parsed = parse_url(url)
    return get_storage(_open(parsed, optuna_engine_options(parsed)))


def close_optuna_storage(storage: BaseStorage) -> None:
    """Close the idle connections of a storage from ``open_optuna_storage``."""
    backend = getattr(storage, "_backend", storage)
    if isinstance(backend, RDBStorage):
        backend.engine.dispose()


def make_optuna_tables(url: str) -> None:
    """Let Optuna create missing tables and check the others; raises like ``open_optuna_storage``."""
    parsed = parse_url(url)
    arguments = optuna_engine_options(parsed)["connect_args"]
    _open(parsed, {"connect_args": arguments, "poolclass": NullPool})


def _open(url: URL, engine_options: dict[str, Any]) -> RDBStorage:
    # Optuna formats the URL as a template.
    template = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    for attempt in range(_ATTEMPTS):
        try:
            return QuickReader(template, engine_kwargs=engine_options)
        except DBAPIError as error:
            if attempt == _ATTEMPTS - 1 or not _made_by_another(error):
                if is_fault(error):
                    raise explain(url, error) from error
                raise
        except StorageInternalError as error:
            raise _explained(url, error) from error
        except RuntimeError as error:
            raise StorageError(f"Optuna cannot use this database: {error}") from error
        time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


def _explained(url: URL, error: StorageInternalError) -> Exception:
    """Return the cause that Optuna wrapped, such as missing rights on its tables."""
    cause = error.__cause__
    return explain(url, cause) if isinstance(cause, DBAPIError) and is_fault(cause) else error


def _made_by_another(error: DBAPIError) -> bool:
    """Return whether another process created the same tables or rows at the same moment."""
    if isinstance(error, OperationalError | ProgrammingError):
        return "already exists" in str(error.orig)
    return isinstance(error, IntegrityError)


class _DatabaseError(Exception):
    """Carries a database error past Optuna, which would retry five times in an aborted transaction."""

    def __init__(self, error: DBAPIError) -> None:
        self.error = error
        super().__init__(str(error))


class _Session(Session):
    def execute(self, *arguments: Any, **options: Any) -> Any:
        with _past_optuna():
            return super().execute(*arguments, **options)

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        with _past_optuna():
            super().flush(objects)


@contextmanager
def _past_optuna() -> Iterator[None]:
    try:
        yield
    except IntegrityError:  # which Optuna handles
        raise
    except DBAPIError as error:
        raise _DatabaseError(error) from error


# Created once, since a sessionmaker creates a class.
_SESSIONS: sessionmaker[Session] = sessionmaker(class_=_Session, join_transaction_mode="rollback_only")


class _Joined(RDBStorage):
    """Optuna's storage on one open connection; its commits are left to the transaction around it."""

    def __init__(self, connection: Connection) -> None:
        # Not RDBStorage.__init__: it opens an engine and checks the schema, which `schema.upgrade` has done.
        self.engine = connection.engine
        self.scoped_session = scoped_session(_SESSIONS)
        self.scoped_session(bind=connection)


@contextmanager
def optuna_within(connection: Connection) -> Iterator[RDBStorage]:
    """Run Optuna's write methods inside the connection's transaction.

    Optuna's writes and ours are then committed together or not at all: a worker killed at any moment leaves
    no trial without a slot and no outcome that only one of the two has, and a worker that lost its lease
    while suspended creates no second trial. Write on the connection afterwards: that fails if Optuna rolled
    the transaction back silently.
    """
    try:
        yield _Joined(connection)
    except _DatabaseError as carrier:
        raise carrier.error from None
    except StorageInternalError as error:
        if isinstance(error.__cause__, SQLAlchemyError):
            raise error.__cause__ from error
        raise
