"""The data sets that a study can name, and where each keeps its files."""

from __future__ import annotations

from hpo.config.suggestions import did_you_mean

DATASETS = (
    *("auto", "cifar10", "cifar100", "svhn", "mnist", "fashion_mnist", "emnist", "stl10", "digits"),
    *("synthetic", "folder", "table", "arrays"),
)
"""Every name; ``auto`` is CIFAR-10 if it is available, otherwise synthetic."""
OF_FILES = {
    "folder": "the folder that holds train/<class>/",
    "table": "the CSV or Parquet file with a path and a label for each image",
    "arrays": "the .npz file with images and labels",
}
"""Data sets of the user's own files, which need ``data_root``, and what that is."""
OF_SYMBOLS = frozenset({"svhn", "mnist", "emnist", "digits"})
"""Images of digits and letters, which mean something else in a mirror."""
USERS_HINT = "known: " + ", ".join(DATASETS) + ", or package.module:function for your own"


def is_dataset(name: str) -> bool:
    """Return whether a data set has this name, or whether it is a function of the user's own."""
    return ":" in name or name in DATASETS


def similar(name: str) -> str:
    """Return a hint for an unknown name."""
    return did_you_mean(name, DATASETS) or USERS_HINT
