"""What docs/operations.md says about commands, messages and files is true."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from hpo.storage.roles import ROLES
from tests.helpers.hpo_arguments import complaint

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "operations.md").read_text()


def _rows(head: str) -> list[list[str]]:
    table = TEXT.split(f"| {head} |", 1)[1]
    lines = table.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _messages() -> list[str]:
    tables = TEXT.split("## What can go wrong", 1)[1].split("\n## ", 1)[0]
    cells = [line.split(" | ")[0] for line in tables.splitlines() if line.startswith("| `")]
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


def _commands() -> set[str]:
    shown = re.findall(r"^\$ (?:.*\| )?(hpo .*?)(?:\s+#.*)?(?: \|.*)?$", TEXT, re.MULTILINE)
    named = re.findall(r"`(hpo [a-z][^`]*)`", re.sub(r"\n *", " ", TEXT))
    return {*shown, *named}


@cache
def _sources() -> str:
    """Return the program's sources with adjacent string literals joined, as Python joins them."""
    code = "\n".join(path.read_text() for path in sorted((ROOT / "hpo").rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", code)


def test_tables_quote_many_messages() -> None:
    assert len(_messages()) > 35


@pytest.mark.parametrize("message", _messages())
def test_message_in_a_table_is_one_that_hpo_gives(message: str) -> None:
    assert [part for part in message.split("…") if part.strip() not in _sources()] == []


@pytest.mark.parametrize("command", sorted(_commands()))
def test_command_has_the_arguments_that_are_shown(command: str) -> None:
    assert complaint(re.sub(r"\\?[|>].*", "", command).replace("...", "")) == ""


def _links() -> list[tuple[str, str]]:
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", TEXT)
    return sorted({(file, anchor) for file, anchor in found if not file.startswith("http")})


@pytest.mark.parametrize(("file", "anchor"), _links())
def test_link_leads_to_a_file_or_heading(file: str, anchor: str) -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert (ROOT / "docs" / file).exists() if file else anchor in anchors


def test_table_lists_every_role() -> None:
    listed = {row[0].strip("`") for row in _rows("role | may | for")}
    assert listed == {*ROLES, "the owner"}


@pytest.mark.parametrize("role", ROLES)
def test_role_is_listed_with_its_commands(role: str) -> None:
    (listed,) = [row[2] for row in _rows("role | may | for") if row[0] == f"`{role}`"]
    commands = set(re.findall(r"[a-z-]+", ROLES[role].split(": ")[1])) - {"hpo"}
    assert commands and commands <= set(re.findall(r"[a-z-]+", listed))
