"""Optuna's storage: on its own connections, for samplers and the dashboard, or inside our transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb import models  # Optuna would load it within the first transaction
from sqlalchemy import Connection, NullPool
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from hpo.errors import StorageError
from hpo.results.engine import optuna_engine_options
from hpo.results.faults import explain, is_fault
from hpo.results.optuna_trials import QuickReader
from hpo.results.url import parse_url

# Optuna tells every new study and trial on stderr; the live view and the one-line-an-epoch log are ours.
optuna.logging.set_verbosity(optuna.logging.WARNING)

_ATTEMPTS = 5


def open_optuna_storage(url: str) -> BaseStorage:
    """Optuna's storage for this URL, which keeps finished trials in memory.

    Raises ``StorageError`` if the database is unusable or belongs to another version of Optuna.
    """
    parsed = parse_url(url)
    return get_storage(_open(parsed, optuna_engine_options(parsed)))


def close_optuna_storage(storage: BaseStorage) -> None:
    """Close the connections of what ``open_optuna_storage`` opened, but those in use."""
    backend = getattr(storage, "_backend", storage)
    if isinstance(backend, RDBStorage):
        backend.engine.dispose()


def make_optuna_tables(url: str) -> None:
    """Let Optuna make the tables it misses and check the others; raises as ``open_optuna_storage``."""
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
    """What Optuna did not understand, such as that this user may not read its tables."""
    cause = error.__cause__
    return explain(url, cause) if isinstance(cause, DBAPIError) and is_fault(cause) else error


def _made_by_another(error: DBAPIError) -> bool:
    """Whether another process made the same tables or rows at the same moment."""
    if isinstance(error, OperationalError | ProgrammingError):
        return "already exists" in str(error.orig)
    return isinstance(error, IntegrityError)


class _DatabaseError(Exception):
    """Carries what the database raised past Optuna, which would try five times more in a dead transaction."""

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
    except IntegrityError:  # to which Optuna has an answer
        raise
    except DBAPIError as error:
        raise _DatabaseError(error) from error


# Made once, since a sessionmaker makes a class of its own.
_SESSIONS: sessionmaker[Session] = sessionmaker(class_=_Session, join_transaction_mode="rollback_only")


class _Joined(RDBStorage):
    """Optuna's storage on one open connection; its commits are left to the transaction around it."""

    def __init__(self, connection: Connection) -> None:
        # Not RDBStorage.__init__: it opens an engine and checks the schema, which `schema.upgrade` has done.
        self.engine = connection.engine
        self.scoped_session = scoped_session(_SESSIONS)
        self.scoped_session(bind=connection)

    def _set_trial_param_without_commit(
        self,
        session: Session,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        """Add it, to be written with the trial's others at once.

        Optuna reads the trial, and an earlier distribution, for each parameter again, while all who begin
        a trial of the study wait. The trial was made a moment ago; a study's distributions stay the same.
        """
        session.add(
            models.TrialParamModel(
                trial_id=trial_id,
                param_name=param_name,
                param_value=param_value_internal,
                distribution_json=distribution_to_json(distribution),
            )
        )


@contextmanager
def optuna_within(connection: Connection) -> Iterator[RDBStorage]:
    """Optuna's own write methods inside the connection's transaction.

    What Optuna writes and what we write beside it then happen together or not at all: a worker killed
    anywhere leaves no trial without a slot and no outcome recorded but not told, and a worker that lost its
    lease while it was paused creates no second trial. Make another write on the connection afterwards: it
    fails if Optuna rolled the transaction back without a word.
    """
    try:
        yield _Joined(connection)
    except _DatabaseError as carrier:
        raise carrier.error from None
    except StorageInternalError as error:
        if isinstance(error.__cause__, SQLAlchemyError):
            raise error.__cause__ from error
        raise
