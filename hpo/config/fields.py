"""What a field accepts, derived from its pydantic model, and clear messages for values that it rejects.

Pydantic would validate values too, but not as a study file writes them: its strict mode rejects ``1e1`` for
an integer, its lax mode accepts ``true`` and ``"3"``, and neither knows how a value was written.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hpo.config.configuration import Configuration, conditions
from hpo.config.image_format import SIZE_WANTED, image_size_text
from hpo.config.parsing.yaml_tree import Node, ScalarNode, SequenceNode
from hpo.config.suggestions import did_you_mean
from hpo.text import counted

Kind = Literal["number", "whole", "flag", "word", "text", "size", "any"]
_KINDS: dict[type, Kind] = {bool: "flag", int: "whole", float: "number", str: "text"}
# Limits of a database integer, and of the floats that represent every integer.
_TOO_LARGE: dict[type, int] = {int: 2**63, float: 2**53}
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


class WrongValue(ValueError):  # noqa: N818 - becomes a Problem at its place, is never shown as an exception
    """A value that a field does not accept: what is wrong and what would be right."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True)
class Limits:
    """The range of a number; ``None`` for no limit."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def check(self, value: float, shown: str) -> None:
        """Raise ``WrongValue`` if ``value`` is outside."""
        if self.ge is not None and value < self.ge:
            raise WrongValue(f"{shown} is below {number_text(self.ge)}, the smallest allowed")
        if self.gt is not None and value <= self.gt:
            raise WrongValue(f"{shown} is not above {number_text(self.gt)}")
        if self.le is not None and value > self.le:
            raise WrongValue(f"{shown} is above {number_text(self.le)}, the largest allowed")
        if self.lt is not None and value >= self.lt:
            raise WrongValue(f"{shown} is not below {number_text(self.lt)}")

    def __str__(self) -> str:
        parts = [
            f"{sign} {number_text(limit)}"
            for sign, limit in (("≥", self.ge), (">", self.gt), ("≤", self.le), ("<", self.lt))
            if limit is not None
        ]
        return ", ".join(parts)


@dataclass(frozen=True)
class FieldType:
    """One field: the values it accepts, its default and its meaning. A ``word`` is one of ``words``."""

    name: str
    kind: Kind
    optional: bool
    words: tuple[str, ...]
    limits: Limits
    required: bool
    default: Any
    description: str

    def accept(self, node: Node) -> bool | int | float | str | None:
        """Return the field's value that ``node`` gives. Raises ``WrongValue``."""
        if not isinstance(node, ScalarNode):
            what = "a list" if isinstance(node, SequenceNode) else "a mapping"
            raise WrongValue(f"{what} is not {self._wanted()}")
        if self.optional and self._is_empty(node):
            return None
        if node.value is None:
            raise WrongValue("has no value", self._for_null())
        readers: dict[Kind, Callable[[ScalarNode], bool | int | float | str]] = {
            "number": self._number,
            "whole": self._whole,
            "flag": self._flag,
            "word": self._word,
            "text": self._text,
            "size": self._size,
            "any": self._any,
        }
        return readers[self.kind](node)

    def _is_empty(self, leaf: ScalarNode) -> bool:
        return leaf.value is None or (self.kind not in ("text", "any") and leaf.text in ("none", "None"))

    def _for_null(self) -> str:
        if self.kind == "word" and "none" in self.words:
            return "did you mean none?"
        return "" if self.required else f"the default is {as_written(self.default)}"

    def _number(self, leaf: ScalarNode) -> float:
        if isinstance(leaf.value, bool) or not isinstance(leaf.value, int | float):
            raise WrongValue(f"{as_written(leaf)} is not {self._wanted()}")
        try:
            value = float(leaf.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise WrongValue(f"{as_written(leaf)} is not a finite number")
        self.limits.check(value, as_written(leaf))
        return value

    def _whole(self, leaf: ScalarNode) -> int:
        value = leaf.value
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise WrongValue(f"{as_written(leaf)} is not {self._wanted()}")
        self.limits.check(value, as_written(leaf))
        if abs(value) >= _TOO_LARGE[type(value)]:
            raise WrongValue(f"{as_written(leaf)} is too large")
        return int(value)

    def _flag(self, leaf: ScalarNode) -> bool:
        word = leaf.text.lower()
        if word not in (*_TRUE, *_FALSE):
            raise WrongValue(f"{as_written(leaf)} is not {self._wanted()}")
        return word in _TRUE

    def _word(self, leaf: ScalarNode) -> str:
        if leaf.text not in self.words:
            negative = next((word for word in ("none", "off") if word in self.words), "")
            no = leaf.text.lower() in (*_FALSE, "none", "null") and negative
            hint = f"did you mean {negative}?" if no else did_you_mean(leaf.text, self.words)
            raise WrongValue(f"{as_written(leaf)} is not {self._wanted()}", hint)
        return leaf.text

    def _text(self, leaf: ScalarNode) -> str:
        if not isinstance(leaf.value, str):
            raise WrongValue(f"{as_written(leaf)} is not {self._wanted()}", f'in quotes: "{leaf.text}"')
        return leaf.value

    def _size(self, leaf: ScalarNode) -> str:
        try:
            return str(image_size_text(leaf.text))
        except ValueError as error:
            raise WrongValue(str(error)) from None

    def _any(self, leaf: ScalarNode) -> bool | int | float | str:
        value = leaf.value
        assert value is not None, "every value may be empty"
        if isinstance(value, float) and not math.isfinite(value):
            raise WrongValue(f"{as_written(leaf)} is not a finite number")
        if isinstance(value, int) and abs(value) >= _TOO_LARGE[int]:
            raise WrongValue(f"{as_written(leaf)} is too large")
        return value

    def _wanted(self) -> str:
        if self.kind == "word":
            return f"one of: {', '.join(self.words)}" if len(self.words) > 1 else self.words[0]
        names: dict[Kind, str] = {
            "number": "a number",
            "whole": "a whole number",
            "flag": "true or false",
            "size": SIZE_WANTED,
        }
        if self.kind == "any":
            return "a number, a string, true, false or null"
        return names.get(self.kind, "a string")


def field_type(model: type[BaseModel], name: str) -> FieldType | None:
    """Return what a field accepts; ``None`` if it is not a single value."""
    info = model.model_fields[name]
    inner, optional = _unwrap(info.annotation)
    words = tuple(get_args(inner)) if get_origin(inner) is Literal else ()
    kind: Kind | None = "word" if words else _KINDS.get(inner)
    if any(getattr(rule, "func", None) is image_size_text for rule in info.metadata):
        kind = "size"
    if kind is None:
        return None
    default = None if info.default is PydanticUndefined else info.default
    return FieldType(
        name, kind, optional, words, _limits(info), info.is_required(), default, info.description or ""
    )


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(inner) == 1:
            return inner[0], True
    return annotation, False


def _limits(info: FieldInfo) -> Limits:
    found: dict[str, float] = {}
    for item in info.metadata:
        for sign, kind in _SIGNS.items():
            if isinstance(item, kind):
                found[sign] = getattr(item, sign)
    return Limits(**found)


_SIGNS = {
    "ge": annotated_types.Ge,
    "gt": annotated_types.Gt,
    "le": annotated_types.Le,
    "lt": annotated_types.Lt,
}


def as_written(value: Any) -> str:
    """Return a value as it is written in a study file, cut to a readable length; strings are quoted."""
    if isinstance(value, ScalarNode):
        is_text = isinstance(value.value, str)
        text = repr(value.text) if is_text else value.text or "null"
    else:
        text = value if isinstance(value, str) else yaml_text(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({counted(len(text), 'character')})"


def yaml_text(value: Any) -> str:
    """Return a value as YAML writes it: ``null``, ``true``, ``1e-4``, ``relu``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return number_text(value)
    return str(value)


def setting(value: Any) -> str:
    """Return the value of a hyperparameter with three significant digits."""
    if isinstance(value, float) and math.isfinite(value) and value:
        return yaml_text(float(f"{value:.3g}"))
    return yaml_text(value)


def number_text(value: float) -> str:
    """Return a number as people write it: ``0.05``, ``1e-4``, ``3072``."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.5e}" if 0 < abs(value) < 0.01 else f"{value:g}"
    mantissa, letter, exponent = text.partition("e")
    if "." in mantissa and letter:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}" if letter else text


def _hyperparameters() -> dict[str, FieldType]:
    found = {name: field_type(Configuration, name) for name in Configuration.model_fields}
    assert all(found.values()), "every field of Configuration is a single value"
    return {name: field for name, field in found.items() if field is not None}


HYPERPARAMETERS: dict[str, FieldType] = _hyperparameters()
"""Every field of ``Configuration`` by name."""


NOT_SEARCHED = ("dataset", "data_root", "image_size", "resize", "channels")
"""Fields that all trials of a study share: a study is tied to its images."""


def when_text(name: str) -> str:
    """Return the condition under which a hyperparameter has an effect, e.g. ``optimizer: sgd, rmsprop``."""
    return "; ".join(
        f"{parent}: {', '.join(map(yaml_text, values))}" for parent, values in conditions(name).items()
    )
