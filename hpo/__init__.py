"""hpo: hyperparameter optimization for small image classifiers that explains why trials fail."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.api import Study, load, run, submit
    from hpo.artifacts.model import ExportedModel, load_exported
    from hpo.checks.babysitter import Babysitter
    from hpo.data.arrays import ImageData
    from hpo.decorator import study
    from hpo.integrations.plain import loss, verdict, watch
    from hpo.queries.frames import Results, open_results
    from hpo.trainer.connection import TrialEnded
    from hpo.trainer.trial import Trial
    from hpo.workers.ray.resources import RayWorkers

__version__ = "0.2.0.dev0"

__all__ = [
    "Babysitter",
    "ExportedModel",
    "ImageData",
    "RayWorkers",
    "Results",
    "Study",
    "Trial",
    "TrialEnded",
    "__version__",
    "load",
    "load_exported",
    "loss",
    "open_results",
    "run",
    "study",
    "submit",
    "verdict",
    "watch",
]

# Loaded on first use: `import hpo` and `hpo --help` stay fast without PyTorch and SQLAlchemy.
_LAZY = {
    "Babysitter": "hpo.checks.babysitter",
    "ExportedModel": "hpo.artifacts.model",
    "ImageData": "hpo.data.arrays",
    "RayWorkers": "hpo.workers.ray.resources",
    "Results": "hpo.queries.frames",
    "Study": "hpo.api",
    "Trial": "hpo.trainer.trial",
    "TrialEnded": "hpo.trainer.connection",
    "load": "hpo.api",
    "load_exported": "hpo.artifacts.model",
    "loss": "hpo.integrations.plain",
    "open_results": "hpo.queries.frames",
    "run": "hpo.api",
    "study": "hpo.decorator",
    "submit": "hpo.api",
    "verdict": "hpo.integrations.plain",
    "watch": "hpo.integrations.plain",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
