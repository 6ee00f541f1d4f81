"""How a study file says which images validate: a given split, groups that stay together, an order of time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Validation: TypeAlias = Literal["auto", "given", "drawn"]
FOLDER, NAME = "folder", "name"


@dataclass(frozen=True)
class DivisionRules:
    """The keys ``validation``, ``groups`` and ``order`` of a study file."""

    validation: Validation = "auto"
    groups: str | None = None
    order: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether only classes decide which images are held out."""
        return self.groups is None and self.order is None

    @property
    def uses_given(self) -> bool:
        """Whether a validation split that the images come with validates."""
        return self.validation != "drawn"


NO_RULES = DivisionRules()


def is_pattern(rule: str) -> bool:
    """Return whether a rule is a regular expression; otherwise it is a name."""
    return "(" in rule


def pattern(rule: str) -> re.Pattern[str]:
    """Return the regular expression of a rule. Raises ``ValueError`` that says what is wrong with it."""
    try:
        found = re.compile(rule)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    if found.groups != 1:
        count = "none" if not found.groups else str(found.groups)
        raise ValueError(f"needs one part in parentheses, and has {count}")
    return found
