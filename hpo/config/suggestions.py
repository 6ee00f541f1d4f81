"""Suggest the known name that a mistyped one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Other libraries' names of our hyperparameters, spelled too differently for difflib to find.
_SYNONYMS = {
    "learning_rate": "lr",
    "bs": "batch_size",
    "channels": "width",
    "filters": "width",
    "layers": "depth",
    "l2": "weight_decay",
    "nonlinearity": "activation",
    "weight_init": "initializer",
    "init": "initializer",
    "bn": "batch_norm",
    "lr_scheduler": "schedule",
    "scheduler": "schedule",
    "clip": "gradient_clip",
    "grad_clip": "gradient_clip",
    "smoothing": "label_smoothing",
    "n_trials": "trials",
    "name": "study",
}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to ``word``, or ``None`` if none is close."""
    names = list(known)
    lower = word.lower()
    synonym = _SYNONYMS.get(lower)
    if synonym in names:
        return synonym
    found = difflib.get_close_matches(lower[:100], names, n=1, cutoff=0.65)
    if found:
        return found[0]
    begins = [name for name in names if len(name) >= 3 and (lower.startswith(name) or name.startswith(lower))]
    return begins[0] if begins and len(lower) >= 3 else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean relu?``, or an empty string."""
    found = nearest(word, known)
    return f"did you mean {found}?" if found else ""
