from __future__ import annotations

import subprocess
import sys

import pytest

import hpo

HEAVY = ("sqlalchemy", "optuna", "torch", "pandas", "pydantic", "numpy")


def test_everything_public_is_there() -> None:
    for name in hpo.__all__:
        assert getattr(hpo, name) is not None
    assert dir(hpo) == sorted(hpo.__all__)
    with pytest.raises(AttributeError, match="no attribute 'open_result'"):
        _ = hpo.open_result


def test_importing_it_imports_nothing_heavy() -> None:
    code = f"import sys, hpo; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
