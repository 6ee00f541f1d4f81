"""One function writes counts in messages, so that one is never plural; any text stays itself when shown."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

import hpo
from hpo.text import counted, fixed, listed

NOUNS = (
    "trials|images|epochs|workers|cores|steps|classes|labels|slots|stages|studies|points|choices|runs|folds|files|"
    "bytes|characters|parameters|configurations|threads|checks|problems|mistakes|days|nodes|rows|frames|snapshots|"
    "layers|examples|objectives|batches|gradients|times|seeds|findings|attempts"
)
_COUNTED = re.compile(rf" (?:[a-z]+[a-rt-z] )?(?:{NOUNS})\b(?! as\b| below\b)")
_OTHER_WORD = re.compile(r" (?:of|in|on|and|or|are|between|for|to|per|by|with|that|all|no|not|each|than) ")
_WORDS = ("kind", "part", "self._name", "listed(seen.untrained)")
"""Values that are a word of the phrase, not a number."""


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (1, ("trial",), "1 trial"),
        (0, ("trial",), "0 trials"),
        (1200, ("image",), "1,200 images"),
        (2, ("class",), "2 classes"),
        (3, ("study",), "3 studies"),
        (2, ("day",), "2 days"),
        (0.5, ("core",), "0.5 cores"),
        (1.0, ("core",), "1 core"),
        (1, ("image has", "images have"), "1 image has"),
        (2, ("image has", "images have"), "2 images have"),
    ],
)
def test_counted_uses_the_singular_for_one_only(number: float, nouns: tuple[str, ...], text: str) -> None:
    assert counted(number, *nouns) == text


def test_no_message_writes_a_number_before_a_plural_itself() -> None:
    root = Path(hpo.__file__).parent
    found = {
        f"{path.relative_to(root)}: {ast.unparse(value)}{text[:30]}"
        for path in root.rglob("*.py")
        for value, text in _values_before_text(path)
        if _is_own_plural(value, text)
    }
    assert found == set(), "use hpo.text.counted"


def _values_before_text(path: Path) -> Iterator[tuple[ast.expr, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for before, after in pairwise(parts):
            if isinstance(before, ast.FormattedValue) and isinstance(after, ast.Constant):
                yield before.value, str(after.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):  # for str.format
            for name, text in re.findall(r"{([a-z_]+)}( [^{]*)", node.value):
                yield ast.Name(name), text


def _is_own_plural(value: ast.expr, text: str) -> bool:
    """Whether a value that may be 1 stands before a plural; constants and words may not be."""
    if not _COUNTED.match(text) or _OTHER_WORD.match(text) or "images/s" in text:
        return False
    is_constant = isinstance(value, ast.Name) and value.id.lstrip("_").isupper()
    is_count = isinstance(value, ast.Call) and ast.unparse(value.func).endswith("counted")
    return not (is_constant or is_count or ast.unparse(value) in _WORDS)


@pytest.mark.parametrize(
    ("number", "shown"),
    [(2.3026, "2.303"), (-0.5, "-0.500"), (999_999.0, "999999.000"), (5.873e33, "5.87e+33")],
)
def test_fixed_writes_huge_numbers_with_an_exponent(number: float, shown: str) -> None:
    assert fixed(number, 3) == shown


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ((), ""),
        (("a",), "a"),
        (("a", "b"), "a and b"),
        ("abc", "a, b and c"),
        ("abcde", "a, b, c and 2 more"),
    ],
)
def test_listed_names_the_first_and_counts_the_others(names: Sequence[str], shown: str) -> None:
    assert listed(names) == shown
