"""Any text stays itself on a terminal and in Markdown, as a CommonMark parser reads it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hpo.text import markdown, printable

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _cells(text: str) -> list[str]:
    """Return the text of each cell of a table's only row, without markup."""
    tokens = _PARSER.parse(f"| a | b |\n|---|---|\n| {text} | 7 |\n")
    inline = [token.children or [] for token in tokens if token.type == "inline"]
    assert {child.type for cell in inline for child in cell} <= {"text", "text_special"}
    return ["".join(child.content for child in cell) for cell in inline[2:]]


ODD = "a|b <b>x</b> `c` [y](z) *x* _x_ ~~x~~ a\\|b &lt; https://x.y a_b ![x](y)"


@pytest.mark.parametrize("text", [*ODD.split(), ODD])
def test_markdown_keeps_text_in_its_cell(text: str) -> None:
    assert _cells(markdown(text)) == [text, "7"]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(st.sampled_from("ab_*`|<>&[]()!~$\\#. -"), min_size=1, max_size=12))
def test_markdown_keeps_any_signs(text: str) -> None:
    joined = " ".join(text.split())
    assert _cells(markdown(text)) == [joined, "7"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m", r"a\x1b[31m"),
        ("b\udce9r", r"b\udce9r"),
        ("a\u2028b\u202ec", r"a\u2028b\u202ec"),
        ("é\t", "é\t"),
    ],
)
def test_printable_escapes_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_markdown_joins_lines() -> None:
    assert markdown("a\nb\r\n c\u2028d\x1b") == r"a b c d\\x1b"
