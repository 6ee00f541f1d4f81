"""What docs/operations.md says of commands, messages and files is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.hpo_arguments import complaint

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "operations.md").read_text()


def _rows(head: str) -> list[list[str]]:
    table = TEXT.split(f"| {head} |", 1)[1]
    lines = table.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _sources() -> str:
    """The program's texts, joined as Python joins them, without what is filled in."""
    code = "\n".join(path.read_text() for path in sorted((ROOT / "hpo").rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", code)


def test_every_message_in_the_tables_is_one_that_hpo_gives() -> None:
    tables = TEXT.split("## What can go wrong", 1)[1].split("\n## ", 1)[0]
    cells = [line.split(" | ")[0] for line in tables.splitlines() if line.startswith("| `")]
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 35
    sources = _sources()
    for message in messages:
        for part in message.split("…"):
            assert part.strip() in sources, message


def _commands() -> list[str]:
    shown = re.findall(r"^\$ (?:.*\| )?(hpo .*?)(?:\s+#.*)?(?: \|.*)?$", TEXT, re.MULTILINE)
    named = re.findall(r"`(hpo [a-z][^`]*)`", TEXT.replace("\n", " "))
    return [*shown, *named]


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_every_command_has_what_it_is_given(command: str) -> None:
    assert complaint(re.sub(r"[|>].*", "", command).replace("...", "")) == ""


def test_links_and_their_headings_are_there() -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for file, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", TEXT):
        if file and not file.startswith("http"):
            assert (ROOT / "docs" / file).exists(), file
        elif anchor and not file:
            assert anchor in anchors, anchor


def test_the_wheel_of_the_instructions_is_of_this_version() -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert set(re.findall(r"hpo-([\d.]+)-py3", TEXT)) == {version}


def test_each_role_is_told_with_what_it_is_for() -> None:
    from hpo.storage.roles import ROLES

    told = {row[0].strip("`"): row[2] for row in _rows("role | may | for")}
    assert set(told) == {*ROLES, "the owner"}
    for role, purpose in ROLES.items():
        commands = set(re.findall(r"[a-z-]+", purpose.split(": ")[1])) - {"hpo"}
        assert commands <= set(re.findall(r"[a-z-]+", told[role])), role
