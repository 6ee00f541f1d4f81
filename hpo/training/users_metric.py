"""A metric of the user's own, ``objective: package.module:function``, of the predicted probabilities."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.config.study import StudySpec
from hpo.errors import ConfigurationError
from hpo.text import counted
from hpo.training.process_state import import_with_state
from hpo.training.users_code import USERS_ERRORS, import_function, raised

_IMAGES = 64
"""Images of the trial call, which have every class if there are not more classes."""
_FORM = "it is called with probabilities (N, C) float32 and labels (N,) int64, and returns a number"


@dataclass(frozen=True)
class UsersMetric:
    """A function of the user's that measures predictions; ``name`` is its path, also in the results."""

    name: str
    function: Callable[..., Any]

    @classmethod
    def of(cls, spec: StudySpec) -> UsersMetric | None:
        """Import the objective of a study; None if it is one of hpo's own metrics, or another training's.

        Raises ``ConfigurationError`` if it is not allowed or cannot be imported.
        """
        if spec.is_own or not spec.goal.is_users:
            return None
        return cls(spec.objective, import_function("objective", spec.objective, import_with_state))

    def __call__(self, probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """Measure probabilities (N, C) of labels (N,); NaN, without a call, if some are not numbers.

        Raises ``ConfigurationError`` if the function raises something, or does not return a number.
        """
        if not np.isfinite(probabilities).all():
            return math.nan
        try:
            found = self.function(probabilities.copy(), labels.copy())
        except USERS_ERRORS as error:
            shapes = f"given probabilities {probabilities.shape} and labels {labels.shape}"
            raise ConfigurationError(raised("objective", self.name, shapes, error)) from error
        return self._number(found)

    def _number(self, found: Any) -> float:
        shape = getattr(found, "shape", ())
        try:
            if isinstance(found, str | bytes) or tuple(shape) not in ((), (1,)):
                raise TypeError
            return float(found)
        except (TypeError, ValueError):
            kind = f"an array of shape {tuple(shape)}" if shape else f"a {type(found).__name__}"
            kind = "nothing" if found is None else kind
            raise ConfigurationError(f"objective {self.name} returned {kind}; {_FORM}") from None


def check_metric(spec: StudySpec, classes: int) -> None:
    """Import the study's objective, if it is a function of the user's, and call it on invented predictions.

    Raises ``ConfigurationError`` if it cannot be called, or gives no finite number.
    """
    metric = UsersMetric.of(spec)
    if metric is None:
        return
    _refuse_signature(metric)
    draws = np.random.default_rng(0)
    count = max(_IMAGES, 2 * classes)
    labels = np.arange(count, dtype=np.int64) % classes
    probabilities = draws.dirichlet(np.ones(classes), count).astype(np.float32)
    value = metric(probabilities, labels)
    if not math.isfinite(value):
        raise ConfigurationError(
            f"objective {metric.name} is {value} for random predictions of {counted(count, 'image')} of "
            f"{counted(classes, 'class', 'classes')}; it must be a finite number"
        )


def _refuse_signature(metric: UsersMetric) -> None:
    if inspect.isclass(metric.function):
        raise ConfigurationError(f"objective {metric.name} is a class, not a function; {_FORM}")
    try:
        inspect.signature(metric.function).bind(None, None)
    except TypeError as error:
        raise ConfigurationError(f"objective {metric.name} cannot be called: {error}; {_FORM}") from error
    except ValueError:  # without a signature, as some functions in C: the call will tell
        return
