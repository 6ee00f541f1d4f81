"""hpo: hyperparameter optimization for small image classifiers that says why trials failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.checks.babysitter import Babysitter

__version__ = "0.1.0"

__all__ = ["Babysitter", "__version__"]


def __getattr__(name: str) -> Any:
    """Load what needs PyTorch when it is asked for: `import hpo` and `hpo --help` stay quick."""
    if name == "Babysitter":
        from hpo.checks.babysitter import Babysitter

        return Babysitter
    raise AttributeError(f"module 'hpo' has no attribute {name!r}")
