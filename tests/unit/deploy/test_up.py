"""`make up` creates the secrets once and starts the services; a program stands in for docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCKER = """#!/bin/sh
echo "docker $*" >> "$(dirname "$0")/calls"
case "$* " in "$BROKEN "*) exit 1 ;; esac
"""
UP = "docker compose up --detach --build --scale worker={workers}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout with the script, and a `docker` that notes how it was called."""
    for name in ("Makefile", "docker-compose.yml", "deploy/up.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    return tmp_path


def _up(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["make", "--no-print-directory", "up", *options],
        cwd=folder,
        env={"PATH": path, "BROKEN": "nothing", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _secrets(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "secrets").iterdir()}


def _last_call(folder: Path) -> str:
    return (folder / "bin/calls").read_text().splitlines()[-1]


def test_up_first_run_creates_every_secret_of_the_compose_file(folder: Path) -> None:
    done = _up(folder)
    assert (done.returncode, done.stderr) == (0, "")
    secrets = _secrets(folder)
    assert set(secrets) == set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["secrets"])
    assert len(set(secrets.values())) == 5
    assert all(len(secret) == 48 and int(secret, 16) for secret in secrets.values())
    assert all(secret not in done.stdout for secret in secrets.values())


def test_up_secrets_are_closed_to_others_but_readable_in_containers(folder: Path) -> None:
    assert _up(folder).returncode == 0
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (folder / "secrets").iterdir()} == {0o644}


def test_up_second_run_keeps_secrets(folder: Path) -> None:
    (folder / "secrets").mkdir()
    (folder / "secrets/dashboard_token").write_text("mine\n")
    assert _up(folder).returncode == 0
    first = _secrets(folder)
    assert _up(folder).returncode == 0
    assert _secrets(folder) == first
    assert first["dashboard_token"] == "mine\n"


def test_up_starts_one_worker_by_default(folder: Path) -> None:
    assert _up(folder).returncode == 0
    assert _last_call(folder) == UP.format(workers=1)


def test_up_starts_the_wanted_number_of_workers(folder: Path) -> None:
    assert _up(folder, "WORKERS=4").returncode == 0
    assert _last_call(folder) == UP.format(workers=4)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            "compose version",
            "error: docker has no Compose plugin: see https://docs.docker.com/compose/install",
        ),
        ("info", "error: docker cannot reach its engine: start it, or allow your user to use it"),
    ],
)
def test_up_unusable_docker_is_reported_before_anything_changes(
    folder: Path, broken: str, message: str
) -> None:
    done = _up(folder, BROKEN=broken)
    assert done.returncode != 0 and done.stderr.startswith(message)
    assert not (folder / "secrets").exists()


def test_up_without_docker_reports_where_to_get_it(folder: Path) -> None:
    programs = {name: shutil.which(name) for name in ("make", "sh", "dirname")}
    for name, path in programs.items():
        assert path
        (folder / "bin" / name).symlink_to(path)
    (folder / "bin/docker").unlink()
    done = _up(folder, PATH=str(folder / "bin"))
    assert done.returncode != 0
    assert done.stderr.startswith(
        "error: docker is not installed: see https://docs.docker.com/engine/install"
    )


@pytest.mark.parametrize("workers", ["0", "-2", "two", "1.5"])
def test_up_refuses_a_number_of_workers_that_is_not_one(folder: Path, workers: str) -> None:
    done = _up(folder, f"WORKERS={workers}")
    assert done.returncode != 0
    assert f"WORKERS={workers} is not a number of workers: give 1 or more" in done.stderr
    assert not (folder / "secrets").exists()
    assert not (folder / "bin/calls").exists()
