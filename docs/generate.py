"""Writes the parts of the documentation that follow from the code: ``python docs/generate.py``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sql_parts

from hpo.config.fields import HYPERPARAMETERS, NOT_SEARCHED, FieldType, when_text, yaml_text
from hpo.config.methods import NamedChoice, Pruner, Sampler, options_of
from hpo.config.parsing.consistency import MODEL_DEPTHS
from hpo.config.parsing.load import STUDY_KEYS, THRESHOLDS
from hpo.config.parsing.stages import CONFIRM_KEYS, STAGE_KEYS
from hpo.config.schema import schema_text

DOCS = Path(__file__).parent
SCHEMA = DOCS / "study.schema.json"
STUDY_FILES = DOCS / "study-files.md"
CHECKS = DOCS / "checks.md"
SEARCH = DOCS / "search.md"
SQL = DOCS / "sql.md"

_VALUES = {
    "number": "number",
    "whole": "whole number",
    "flag": "true or false",
    "text": "text",
    "size": "`auto`, 8 to 224, or `HxW`",
}


def generated() -> dict[Path, str]:
    """Each file with what it should hold."""
    page = STUDY_FILES.read_text(encoding="utf-8")
    page = with_part(page, "keys", single_values_table(STUDY_KEYS, "key"))
    page = with_part(page, "stages", single_values_table(STAGE_KEYS, "key of a stage"))
    page = with_part(page, "confirm", single_values_table(CONFIRM_KEYS, "key of `confirm:`"))
    search = with_part(SEARCH.read_text(encoding="utf-8"), "sampler-options", options_table(Sampler))
    checks = with_part(CHECKS.read_text(encoding="utf-8"), "thresholds", thresholds_table())
    return {
        SCHEMA: schema_text(),
        STUDY_FILES: with_part(page, "hyperparameters", hyperparameters_table()),
        CHECKS: checks,
        SEARCH: with_part(search, "pruner-options", options_table(Pruner)),
        SQL: with_part(
            with_part(SQL.read_text(encoding="utf-8"), "questions", sql_parts.questions()),
            "diagram",
            sql_parts.diagram(),
        ),
    }


def single_values_table(fields: Mapping[str, FieldType], heading: str) -> str:
    """Keys of a study file that have a single value."""
    lines = [f"| {heading} | value | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{field.name}` | {_accepts(field)} | {_default(field)} | {field.description} |"
        for field in fields.values()
    ]
    return "\n".join(lines)


def thresholds_table() -> str:
    """What may stand under ``checks:``."""
    lines = ["| threshold | value | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {_accepts(field)} | {_default(field)} | {_meaning(field)} |"
        for name, field in THRESHOLDS.items()
    ]
    return "\n".join(lines)


def options_table(method: type[NamedChoice]) -> str:
    """The options of each method that has any."""
    lines = [f"| {method.__name__.lower()} | option | value | default | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | `{option}` | {_accepts(field)} | {_default(field)} | {field.description} |"
        for name, options in options_of(method).items()
        for option, field in options.items()
    ]
    return "\n".join(lines)


def hyperparameters_table() -> str:
    """Every field of ``Configuration``."""
    lines = ["| name | value | default | applies with | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | {_accepts(field)} | {_default(field)} | {when_text(name)} | {_meaning(field)} |"
        for name, field in HYPERPARAMETERS.items()
    ]
    return "\n".join(lines)


def with_part(page: str, name: str, text: str) -> str:
    """The page with the part between its two markers replaced."""
    begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def _accepts(field: FieldType) -> str:
    if field.name == "model":
        return f"{', '.join(f'`{name}`' for name in MODEL_DEPTHS)}, or `package.module:function`"
    if field.words:
        return ", ".join(f"`{word}`" for word in field.words)
    limits = str(field.limits)
    value = f"{_VALUES[field.kind]}, {limits}" if limits else _VALUES[field.kind]
    return f"{value}, or empty" if field.optional else value


def _default(field: FieldType) -> str:
    if field.required:
        return "required"
    return "empty" if field.default is None else f"`{yaml_text(field.default)}`"


def _meaning(field: FieldType) -> str:
    text = f"{field.description} (cannot be searched)" if field.name in NOT_SEARCHED else field.description
    return text.replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
