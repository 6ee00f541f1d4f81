"""Commands of a user without a home, and on a system without a writable temporary folder."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.helpers import forked
from tests.helpers.hpo_command import COMMAND, Hpo

pytestmark = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)

_HOMELESS = """
import os, pwd, sys

def unknown(uid):
    raise KeyError(uid)

pwd.getpwuid = unknown
os.environ.pop("HOME", None)
sys.argv[0] = "hpo"
from hpo.cli.app import main
main()
"""


def _without_home(hpo: Hpo, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forked.run(["-c", _HOMELESS, *arguments], cwd=hpo.folder, env=hpo.environment, timeout=240)


def _expect_all_work(hpo: Hpo, *commands: tuple[str, ...]) -> None:
    for arguments in commands:
        done = _without_home(hpo, *arguments)
        assert done.returncode == 0, done.stderr
        assert "home" not in done.stderr


def test_commands_work_without_a_home_if_each_folder_is_set(hpo: Hpo) -> None:
    _expect_all_work(hpo, ("submit", hpo.write_study(trials=1)), ("status",), ("query", "SELECT 1"))


@pytest.mark.slow  # a training, and Matplotlib's search for fonts
def test_training_and_pictures_work_without_a_home(hpo: Hpo) -> None:
    study = hpo.write_study(trials=1, epochs=1)
    _expect_all_work(hpo, ("run", study, "--workers", "1"), ("report", "tiny"), ("db", "prune"))


def test_commands_without_a_home_name_the_variables(hpo: Hpo) -> None:
    del hpo.environment["HPO_ARTIFACTS"]
    for arguments in (("doctor",), ("status",), ("run", hpo.write_study())):
        done = _without_home(hpo, *arguments)
        assert done.returncode == 2
        assert "set $HOME, or $HPO_ARTIFACTS to folders of your choice" in done.stderr
        assert "should not happen" not in done.stderr


def test_run_without_a_writable_temporary_folder_names_tmpdir(hpo: Hpo) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make the file system read-only, for one process")
    read_only = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && cd / && exec "$@"'
    run = [*COMMAND, "run", hpo.write_study(), "--workers", "1"]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", read_only, str(hpo.folder), *run],
        env=hpo.environment | {"TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    assert "no temporary files can be written" in done.stderr
    assert "set $TMPDIR to a writable folder" in done.stderr
