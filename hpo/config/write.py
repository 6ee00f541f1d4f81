"""Write a study as a study file, which ``load`` reads back to an equal study."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.config.study import StudySpec

# Strings that `yaml_tree` reads back unquoted; others are quoted.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_NOT_TEXT = {"null", "true", "false"}


def study_text(spec: StudySpec, comments: Sequence[str] = ()) -> str:
    """Return the file's text; ``comments`` are lines at its head."""
    document = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    lines = [f"# {comment}".rstrip() for comment in comments] + ([""] if comments else [])
    for key, value in document.items():
        if key in ("fixed", "space") and value:
            lines += ["", f"{key}:", *(f"  {name}: {flow(each)}" for name, each in value.items())]
        elif key in ("stages", "first") and value:
            lines += ["", f"{key}:", *(f"  - {flow(each)}" for each in value)]
        else:
            lines.append(f"{key}: {flow(value)}")
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """Return a value on one line of a study file."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
        return value if plain else json.dumps(value)
    return json.dumps(value)  # numbers in full, null, true and false
