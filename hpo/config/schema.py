"""The JSON schema of study files, with which editors complete names and show descriptions and limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hpo.config.command import NAME_LIMIT
from hpo.config.fields import HYPERPARAMETERS, NOT_SEARCHED, FieldType, when_text
from hpo.config.methods import NamedChoice, Pruner, options_of, summaries
from hpo.config.own_training import TRAINER_PATTERN
from hpo.config.parsing.load import STUDY_KEYS, THRESHOLDS
from hpo.config.parsing.own_training import LIMIT_KEYS
from hpo.config.parsing.sections import DEFAULTS, NAMED_CHOICES, TAG_PATTERN
from hpo.config.parsing.space import ALLOWED
from hpo.config.parsing.stages import CONFIRM_KEYS, STAGE_KEYS
from hpo.config.space import KINDS
from hpo.config.study import NAME_PATTERN, STAGE_PATTERN, StageSpec, StudySpec
from hpo.config.tradeoff import QUANTITIES

Schema = dict[str, Any]

_TYPES: dict[str, str | list[str]] = {
    "number": "number",
    "whole": "integer",
    "flag": "boolean",
    "word": "string",
    "text": "string",
    "size": ["string", "integer"],
    "any": ["boolean", "number", "string"],
}
_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_KIND_DESCRIPTIONS = {
    "log": "uniform in the exponent between [low, high]",
    "uniform": "uniform between [low, high]",
    "int": "uniform over integers from low to high, both included",
    "choice": "one of a list, all equally likely",
}


def study_schema() -> Schema:
    """Return the schema in draft 7, which YAML language servers support; ``parsing.load`` checks more."""
    keys = {name: _single(field) for name, field in STUDY_KEYS.items()}
    keys["study"]["pattern"] = NAME_PATTERN.pattern
    keys["checks"] = _checks(keys["checks"])
    keys.update({name: _method(keys[name], method) for name, method in NAMED_CHOICES.items()})
    keys["stages"] = _stages()
    keys["needs"] = _needs()
    keys["trainer"]["pattern"] = f"^{TRAINER_PATTERN.pattern}$"
    keys["command"] = _command()
    keys["limit"] = _limit()
    keys["limits"] = _limits()
    keys |= {name: {"description": _of_study(name)} for name in ("first", "fixed", "space")}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "hpo study file",
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, field in STUDY_KEYS.items() if field.required and name != "trials"],
        "anyOf": [{"required": ["trials"]}, {"required": ["stages"]}],
        "properties": {name: keys[name] for name in StudySpec.model_fields},
        "if": {"anyOf": [{"required": ["trainer"]}, {"required": ["command"]}]},
        "then": {"properties": _own_training(), "not": {"required": ["trainer", "command"]}},
        "else": {"properties": _images()},
        "definitions": {"when": _when()},
    }


def _images() -> Schema:
    """What only a study of the built-in training has."""
    searchable = {name: field for name, field in HYPERPARAMETERS.items() if name not in NOT_SEARCHED}
    return {
        "fixed": _section({name: _single(field) for name, field in HYPERPARAMETERS.items()}),
        "space": _section({name: _searched(field) for name, field in searchable.items()}),
        "first": _first(),
        "limits": False,
        "limit": {
            "propertyNames": {"enum": [*QUANTITIES]},
            "additionalProperties": {"exclusiveMinimum": 0},
        },
        "tradeoff": {"enum": [*QUANTITIES, None]},
    }


def _own_training() -> Schema:
    """What a study with ``trainer`` or ``command`` has instead: names of the user's own."""
    value: Schema = {"type": ["boolean", "number", "string", "null"]}
    budget = _value(HYPERPARAMETERS["epochs"]) | {"description": "the budget of a trial in epochs"}
    names = {"propertyNames": {"pattern": f"^[A-Za-z_][A-Za-z0-9_]{{0,{NAME_LIMIT - 1}}}$"}}
    wanted = {"oneOf": [value, {"type": "array", "minItems": 1, "items": value}]}
    when = {"type": "object", "additionalProperties": wanted}
    searched = {"oneOf": [_range(kind, _ends(kind, {}), when) for kind in KINDS]}
    section: Schema = {"type": ["object", "null"], **names}
    one = {"type": "object", "minProperties": 1, "additionalProperties": value}
    return {
        "fixed": section | {"properties": {"epochs": budget}, "additionalProperties": value},
        "space": section | {"additionalProperties": searched},
        "first": {"type": "array", "items": one},
    }


def _command() -> Schema:
    word = {"type": ["string", "number", "boolean"]}
    return {"description": _of_study("command"), "type": "array", "minItems": 1, "items": word}


def _limits() -> Schema:
    limits = _mapping(LIMIT_KEYS)
    limits["properties"]["memory"] |= {"type": ["string", "integer"], "pattern": "^[0-9.]+ ?[A-Za-z]+$"}
    return limits | {"description": _of_study("limits")}


def _limit() -> Schema:
    amount = {"type": "number"}
    return {"description": _of_study("limit"), "type": "object", "additionalProperties": amount}


def _of_study(name: str) -> str:
    return StudySpec.model_fields[name].description or ""


def _checks(preset: Schema) -> Schema:
    thresholds = {name: _single(field) for name, field in THRESHOLDS.items()}
    mapping: Schema = {"type": "object", "additionalProperties": False, "properties": thresholds}
    return {
        "description": preset["description"],
        "default": preset["default"],
        "oneOf": [{"enum": preset["enum"]}, mapping],
    }


def _method(word: Schema, method: type[NamedChoice]) -> Schema:
    described = summaries(method)
    mappings = [
        {
            "type": "object",
            "additionalProperties": False,
            "required": [name],
            "properties": {
                name: {
                    "description": described[name],
                    "type": ["object", "null"],
                    "additionalProperties": False,
                    "properties": {option: _single(field) for option, field in options.items()},
                }
            },
        }
        for name, options in options_of(method).items()
    ]
    return {
        "description": word["description"],
        "default": word["default"],
        "oneOf": [{"enum": word["enum"]}, *mappings],
    }


def _stages() -> Schema:
    confirm = _mapping(CONFIRM_KEYS) | {"description": StageSpec.model_fields["confirm"].description}
    stage = _mapping(STAGE_KEYS)
    stage["properties"]["name"]["pattern"] = STAGE_PATTERN.pattern
    stage["properties"]["pruner"] = _method(stage["properties"]["pruner"], Pruner)
    stage["properties"]["confirm"] = confirm
    return {
        "description": StudySpec.model_fields["stages"].description,
        "type": "array",
        "minItems": 1,
        "items": stage | {"required": ["name"]},
    }


def _needs() -> Schema:
    return {
        "description": StudySpec.model_fields["needs"].description,
        "type": "array",
        "uniqueItems": True,
        "items": {"type": "string", "pattern": TAG_PATTERN.pattern},
    }


def _first() -> Schema:
    searchable = {name: field for name, field in HYPERPARAMETERS.items() if name not in NOT_SEARCHED}
    one = {"oneOf": [{"const": DEFAULTS}, _mapping(searchable) | {"minProperties": 1}]}
    return {
        "oneOf": [{"const": DEFAULTS}, {"type": "array", "items": one}],
    }


def _mapping(fields: Mapping[str, FieldType]) -> Schema:
    properties = {name: _single(field) for name, field in fields.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def schema_text() -> str:
    """Return the text of the file that is checked in and that ``hpo schema`` writes."""
    return json.dumps(study_schema(), indent=1, ensure_ascii=False) + "\n"


def _section(properties: Schema) -> Schema:
    return {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": properties,
    }


def _single(field: FieldType) -> Schema:
    schema: Schema = {"description": _description(field), **_value(field)}
    if not field.required:
        schema["default"] = field.default
    return schema


def _value(field: FieldType) -> Schema:
    if field.words:
        return {"enum": [*field.words, *(int(word) for word in field.words if word.isdecimal())]}
    kind = _TYPES[field.kind]
    kinds = [kind] if isinstance(kind, str) else kind
    schema: Schema = {"type": [*kinds, "null"] if field.optional else kind}
    for sign, word in _LIMITS.items():
        limit = getattr(field.limits, sign)
        if limit is not None:
            schema[word] = limit
    return schema


def _searched(field: FieldType) -> Schema:
    return {
        "description": _description(field),
        "oneOf": [_distribution(field, kind) for kind in ALLOWED[field.kind]],
    }


def _distribution(field: FieldType, kind: str) -> Schema:
    return _range(kind, _ends(kind, _value(field)), {"$ref": "#/definitions/when"})


def _ends(kind: str, value: Schema) -> Schema:
    """The schema of what a distribution draws from; ``value`` is that of a single value."""
    if kind == "choice":
        return {"type": "array", "minItems": 1, "uniqueItems": True, "items": value}
    end = value | {"type": "integer" if kind == "int" else "number"}
    if kind == "log":
        end["exclusiveMinimum"] = max(0, end.pop("minimum", 0), end.get("exclusiveMinimum", 0))
    return {"type": "array", "minItems": 2, "maxItems": 2, "items": end}


def _range(kind: str, values: Schema, when: Schema) -> Schema:
    values["description"] = _KIND_DESCRIPTIONS[kind]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [kind],
        "properties": {kind: values, "when": when},
    }


def _when() -> Schema:
    """The schema of ``when``: other fields, each with the value or values that it requires."""
    return {
        "type": "object",
        "description": "drawn only if these other hyperparameters have these values",
        "additionalProperties": False,
        "properties": {
            name: {"oneOf": [_value(field), {"type": "array", "minItems": 1, "items": _value(field)}]}
            for name, field in HYPERPARAMETERS.items()
        },
    }


def _description(field: FieldType) -> str:
    when = when_text(field.name) if field.name in HYPERPARAMETERS else ""
    return f"{field.description} (applies with {when})" if when else field.description
