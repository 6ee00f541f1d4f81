"""Whether a command in a document is one that `hpo` takes, without running it."""

from __future__ import annotations

import shlex
from typing import Any

from hpo.cli.app import command_line


def complaint(command: str) -> str:
    """What is wrong with the names of its commands and options; empty if nothing is."""
    place: Any = command_line()
    words = shlex.split(command)[1:]
    while words and hasattr(place, "commands") and not words[0].startswith("-"):
        if words[0] not in place.commands:
            return f"there is no {words[0]}"
        place = place.commands[words.pop(0)]
    known = {name for parameter in place.params for name in parameter.opts} | {"--debug"}
    unknown = {word.partition("=")[0] for word in words if word.startswith("-")} - known
    return f"unknown: {', '.join(unknown)}" if unknown else ""
