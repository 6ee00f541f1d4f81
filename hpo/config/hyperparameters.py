"""What a study's hyperparameters follow from: the built-in training of images, or the user's own training.

The only place that tells these two apart once a study is read: everything else asks ``StudySpec``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from hpo.config import configuration
from hpo.config.configuration import Configuration
from hpo.config.datasets import OF_SYMBOLS
from hpo.config.own_training import UserConfiguration
from hpo.config.space import Distribution

TrialConfiguration: TypeAlias = Configuration | UserConfiguration


class Hyperparameters(Protocol):
    """What names, defaults and conditions the hyperparameters of a study have."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The value of each hyperparameter that a study may leave out."""
        ...

    def conditions(self, name: str) -> Mapping[str, tuple[Any, ...]]:
        """Return the values of other hyperparameters under which one has an effect; empty if always."""
        ...

    def applies(self, name: str, values: Mapping[str, Any]) -> bool:
        """Return whether a hyperparameter has an effect in a trial with these values."""
        ...

    def configuration(self, values: Mapping[str, Any], images: Mapping[str, str]) -> TrialConfiguration:
        """Return the configuration of a trial; ``images``: the fields that the study is bound to."""
        ...

    def stored(self, document: Mapping[str, Any]) -> TrialConfiguration:
        """Return the configuration from what its ``applicable`` returned."""
        ...


class ImageHyperparameters:
    """Those of the built-in training: the fields of ``Configuration``."""

    defaults: Mapping[str, Any] = {name: field.default for name, field in Configuration.model_fields.items()}

    def conditions(self, name: str) -> Mapping[str, tuple[Any, ...]]:
        """See ``Hyperparameters``."""
        return configuration.conditions(name)

    def applies(self, name: str, values: Mapping[str, Any]) -> bool:
        """See ``Hyperparameters``."""
        return configuration.applies(name, values)

    def configuration(self, values: Mapping[str, Any], images: Mapping[str, str]) -> Configuration:
        """See ``Hyperparameters``. Raises ``pydantic.ValidationError`` if a value does not fit its field.

        Digits and letters are not mirrored unless the study says so.
        """
        given: dict[str, Any] = {**values, **images}
        if given.get("dataset") in OF_SYMBOLS:
            given.setdefault("augmentation", "crop")
        return Configuration(**given)

    def stored(self, document: Mapping[str, Any]) -> Configuration:
        """See ``Hyperparameters``."""
        return Configuration.stored(document)


@dataclass(frozen=True)
class OwnHyperparameters:
    """Those of the user's own training: the names in the study file. One that is not drawn has no value."""

    space: Mapping[str, Distribution]

    @property
    def defaults(self) -> Mapping[str, Any]:
        """See ``Hyperparameters``: there are none."""
        return {}

    def conditions(self, name: str) -> Mapping[str, tuple[Any, ...]]:
        """See ``Hyperparameters``: those of its ``when``."""
        when = self.space[name].when if name in self.space else {}
        return {
            parent: tuple(wanted) if isinstance(wanted, list) else (wanted,)
            for parent, wanted in when.items()
        }

    def applies(self, name: str, values: Mapping[str, Any]) -> bool:
        """See ``Hyperparameters``."""
        return name in values

    def configuration(self, values: Mapping[str, Any], images: Mapping[str, str]) -> UserConfiguration:
        """See ``Hyperparameters``."""
        return UserConfiguration(dict(values))

    def stored(self, document: Mapping[str, Any]) -> UserConfiguration:
        """See ``Hyperparameters``."""
        return UserConfiguration.stored(document)


IMAGES = ImageHyperparameters()
