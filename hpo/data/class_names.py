"""Names of classes that can be told apart and printed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from hpo.errors import DataError
from hpo.text import counted

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that names of classes must not have: of control, and of direction."""


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), in which names are compared."""
    return unicodedata.normalize("NFC", name)


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


def alike(names: Iterable[str]) -> Iterator[str]:
    """Yield which names differ only in case, or in blanks around them: they may be one class."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.strip().casefold(), []).append(name)
    for same in groups.values():
        if len(same) > 1:
            yield (
                f"the names of the classes {' and '.join(map(repr, same))} differ only in case or blanks: "
                "if they are one class, give them one name"
            )
