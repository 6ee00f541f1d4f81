"""hpo: hyperparameter optimization for small image classifiers that says why trials failed."""

__version__ = "0.1.0"

__all__ = ["__version__"]
