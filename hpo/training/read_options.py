"""Which of its options a user's network reads: a change of any other has no effect."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from torch import nn

from hpo.models.options import NetworkOptions

_NAMES = frozenset(each.name for each in fields(NetworkOptions))
_ATTRIBUTE = "_hpo_options_read"


class ReadOptions(NetworkOptions):  # type: ignore[misc] # mypy sees models/ under its own name
    """Options that remember which of them were read."""

    def __getattribute__(self, name: str) -> Any:
        if name in _NAMES:
            object.__getattribute__(self, "__dict__").setdefault("read", set()).add(name)
        return super().__getattribute__(name)

    @classmethod
    def of(cls, options: NetworkOptions) -> ReadOptions:
        """Return the same options, none of which was read yet."""
        return cls(**{name: getattr(options, name) for name in _NAMES})

    def note_on(self, network: nn.Module) -> None:
        """Let ``ignored_options`` know what was read for this network."""
        network.__dict__[_ATTRIBUTE] = vars(self).get("read", set())


def ignored_options(network: nn.Module) -> set[str]:
    """Return the options that the function that built ``network`` has not read; none of a bundled network."""
    read = network.__dict__.get(_ATTRIBUTE)
    return set() if read is None else {*_NAMES} - {"model", *read}
