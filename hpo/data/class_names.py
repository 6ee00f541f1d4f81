"""Names of classes that can be told apart and printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hpo.data.layout import CONTROL
from hpo.errors import DataError
from hpo.text import counted


def check_class_names(names: Sequence[str]) -> None:
    """Raise ``DataError`` for names that are empty, occur twice or have control characters."""
    for name, count in Counter(names).items():
        if not name.strip():
            raise DataError("a class has an empty name")
        if CONTROL.search(name):
            raise DataError(f"the class {name!r} has a control character: rename it")
        if count > 1:
            raise DataError(
                f"{counted(count, 'class is', 'classes are')} called {name!r}: give each its own name"
            )
