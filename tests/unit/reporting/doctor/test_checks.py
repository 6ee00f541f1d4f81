"""The checks that need no PyTorch; those of the database are in ``tests/integration``."""

from __future__ import annotations

import platform
import socket
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpo import __version__
from hpo.reporting.doctor import checks
from hpo.settings import settings

SERVER = "postgresql://me@host/x"
Install = Callable[[dict[str, str]], None]


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in {
        "DATA": "data",
        "CACHE": "new/cache",
        "CHECKPOINTS": "new/checkpoints",
        "ARTIFACTS": "kept",
    }.items():
        monkeypatch.setenv(f"HPO_{name}", str(tmp_path / folder))
    monkeypatch.setattr("hpo.data.datasets.why_not_downloadable", lambda seconds: "no route to host")
    settings.cache_clear()


def _free(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    monkeypatch.setattr("hpo.reporting.doctor.checks.shutil.disk_usage", lambda _: SimpleNamespace(free=free))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretend that hpo needs ``alpha>=2,<3`` and, for development, ``beta``, and install versions."""
    texts = ["alpha>=2,<3", 'beta>=1; extra == "dev"']
    monkeypatch.setattr(checks, "requires", lambda _: texts)

    def install(versions: dict[str, str]) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(checks, "version", version)

    return install


def test_python_names_version_and_executable() -> None:
    message = checks.python().message
    assert platform.python_version() in message
    assert sys.executable in message


def test_packages_in_this_environment_are_ok() -> None:
    found = checks.packages()
    assert found.condition == "ok"
    assert "optuna 5." in found.message


def test_packages_lists_runtime_requirements_only(install: Install) -> None:
    install({"alpha": "2.5+cpu"})
    found = checks.packages()
    assert (found.condition, found.message) == ("ok", f"hpo {__version__}; alpha 2.5+cpu")


@pytest.mark.parametrize(
    ("installed", "message"),
    [({"alpha": "3.0"}, "alpha 3.0 (hpo needs <3,>=2)"), ({}, "alpha is missing (hpo needs <3,>=2)")],
)
def test_packages_that_do_not_fit_are_a_problem_with_the_pip_command(
    installed: dict[str, str], message: str, install: Install
) -> None:
    install(installed)
    found = checks.packages()
    assert (found.condition, found.message) == ("problem", message)
    assert found.remedy == f"{sys.executable} -m pip install 'alpha<3,>=2'"


def test_packages_with_another_projects_hpo_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "hpo-0.4.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: hpo\nVersion: 0.4\n")
    (information / "RECORD").write_text("hpo/__init__.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = checks.packages()
    assert found.condition == "problem"
    assert "hpo 0.4 is installed beside hpo-babysitter" in found.message
    assert found.remedy.startswith(f"{sys.executable} -m pip uninstall hpo;")


def test_packages_without_an_installation_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "DISTRIBUTION", "no-such-package")
    found = checks.packages()
    assert found.condition == "warning"
    assert "is not installed" in found.message


def test_cifar10_missing_lists_the_ways_to_get_it(tmp_path: Path) -> None:
    found = checks.cifar10()
    assert found.condition == "warning"
    assert "no route to host" in found.message
    assert [line.split(".")[0] for line in found.remedy.splitlines()] == ["1", "2", "3"]
    assert str(tmp_path / "data") in found.remedy


@pytest.mark.parametrize(
    ("folder", "form"),
    [("cifar10/train", "as image files"), ("cifar-10-batches-py", "as downloaded")],
)
def test_cifar10_on_disk_reports_its_form(folder: str, form: str, tmp_path: Path) -> None:
    (tmp_path / "data" / folder).mkdir(parents=True)
    found = checks.cifar10()
    assert (found.condition, found.message.rpartition(", ")[2]) == ("ok", form)


def test_cifar10_downloadable_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.data.datasets.why_not_downloadable", lambda seconds: None)
    found = checks.cifar10()
    assert found.condition == "ok"
    assert "170 MB are downloaded once" in found.message


def test_cache_reports_its_contents(tmp_path: Path) -> None:
    assert "no decoded images yet" in checks.cache().message
    folder = tmp_path / "new" / "cache" / "datasets" / "cifar10-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("{}")
    found = checks.cache()
    assert found.condition == "ok"
    assert "holds cifar10; " in found.message


def test_cache_with_little_space_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 1e8)
    found = checks.cache()
    assert found.condition == "warning"
    assert "0.1 GB of disk space free" in found.message
    assert "$HPO_CACHE" in found.remedy


def test_cache_that_is_not_writable_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("a file where a folder should be")
    found = checks.cache()
    assert found.condition == "problem"
    assert f"{tmp_path / 'new'} is not a writable folder" in found.message


def test_disk_groups_places_by_disk_and_creates_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 12.34e9)
    found = checks.disk(f"sqlite:///{tmp_path}/hpo.db")
    assert found.condition == "ok"
    assert found.message == (
        "12.3 GB free for checkpoints ($HPO_CHECKPOINTS), saved weights ($HPO_ARTIFACTS), the database"
    )
    assert list(tmp_path.iterdir()) == []
    assert "database" not in checks.disk(SERVER).message


def test_disk_with_little_space_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 0.4e9)
    found = checks.disk(SERVER)
    assert (found.condition, found.message[:17]) == ("warning", "0.4 GB free for c")
    assert "hpo db prune" in found.remedy


def test_disk_names_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("a file where a folder should be")
    found = checks.disk(SERVER)
    assert found.condition == "warning"
    assert found.message == f"checkpoints ($HPO_CHECKPOINTS): {tmp_path / 'new'} is not a writable folder"
    assert "set" in found.remedy


def test_disk_ignores_an_invalid_url() -> None:
    assert "the database" not in checks.disk("nonsense").message


def test_dashboard_port_in_use_warns() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = checks.dashboard(port)
        assert found.condition == "warning"
        assert f"port {port} is in use" in found.message
        assert "--port 0" in found.remedy
    found = checks.dashboard(port)
    assert (found.condition, found.message) == ("ok", f"port {port} is free for `hpo dashboard`")


def test_dashboard_port_that_is_refused_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    found = checks.dashboard(80)
    assert found.condition == "warning"
    assert "Permission denied" in found.message and "--port N" in found.remedy


def test_temporary_files_reports_the_folder_and_little_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _free(monkeypatch, 2e9)
    assert checks.temporary_files() == checks.ok(f"in {tmp_path}, 2.0 GB free")
    _free(monkeypatch, 5e7)
    found = checks.temporary_files()
    assert (found.condition, "$TMPDIR" in found.remedy) == ("warning", True)
    assert list(tmp_path.iterdir()) == []
