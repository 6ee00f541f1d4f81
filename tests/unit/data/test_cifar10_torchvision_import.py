"""torchvision, with and without operators that load."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from hpo.data import cifar10
from hpo.data.cifar10 import import_torchvision


@pytest.mark.slow
def test_it_is_imported_where_the_plain_import_may_fail() -> None:
    code = (
        "from hpo.data.cifar10 import import_torchvision as f;"
        "assert f() is f(); print(f().datasets.CIFAR10.base_folder)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "cifar-10-batches-py"


def test_operators_are_declared_only_if_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    working = ModuleType("torchvision")
    monkeypatch.setattr(cifar10, "_import", lambda: working)
    monkeypatch.setattr(cifar10, "_declare_operators", lambda: pytest.fail("declared"))
    assert import_torchvision() is working


def test_other_failures_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> ModuleType:
        raise RuntimeError("something else is broken")

    monkeypatch.setattr(cifar10, "_import", fail)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()
