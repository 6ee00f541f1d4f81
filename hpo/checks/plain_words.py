"""Remedies in words that their reader has: outside the built-in training its hyperparameters mean nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hpo.records import Finding, Remedy

_PLAIN: tuple[tuple[str, str, str], ...] = (
    ("gradient_clip", r"set gradient_clip to 1 or remove it", "clip gradients to a norm of 1, or not at all"),
    ("gradient_clip", r"remove gradient_clip", "do not clip gradients"),
    ("gradient_clip", r"gradient_clip", "gradient clipping"),
    ("warmup_epochs", r"warmup_epochs", "a warm-up of lr"),
    ("batch_norm", r"batch_norm: \w+", "batch normalization before the activations"),
    ("initializer", r"like initializer: he\b", "by He's rule"),
    ("initializer", r"like initializer: xavier\b", "by Xavier's rule"),
    ("initializer", r"initializer: he\b", "He's initialization"),
    ("initializer", r"initializer: xavier\b", "Xavier's initialization"),
    ("activation", r"activation: relu\b", "ReLU as the activation"),
    ("schedule", r" \(schedule: cosine\)", ", e.g. along a cosine"),
    ("schedule", r"schedule: cosine", "a cosine schedule"),
    ("preprocessing", r"preprocessing: standardize", "standardized inputs"),
    (
        "class_weights",
        r"class_weights: balanced or sampling: balanced, and objective: balanced_accuracy",
        "class weights or sampling that balance the classes, and balanced accuracy as the objective",
    ),
    ("augmentation_strength", r"augmentation_strength: [\d.]+, augmentation: \w+", "weaker augmentation"),
    ("augmentation", r"augmentation: flip_crop", "augmentation by flips and crops"),
    ("label_smoothing", r"label_smoothing: ([\d.]+)", r"label smoothing of \1"),
    ("dropout", r"dropout: ([\d.]+)", r"dropout of \1"),
    ("weight_decay", r"weight_decay: ([\d.e-]+)", r"weight_decay of \1"),
    ("l1", r"l1: 0(\.0)?", "no L1 penalty"),
    ("l1", r"lower l1\b", "lower the L1 penalty"),
    ("l1", r"\bl1\b", "the L1 penalty"),
    ("max_norm", r"max_norm: none", "no limit on the norm of weights"),
    ("norm_momentum", r"a norm_momentum of", "a momentum of normalization layers of"),
    ("epochs", r"epochs: (\d+): the loss", r"\1 epochs, as the loss"),
    ("epochs", r"epochs: (\d+)", r"\1 epochs"),
    ("width", r"width: (\d+)", r"a width of \1"),
    ("batch_size", r"batch_size: (\d+)", r"batches of \1"),
)
"""A hyperparameter, how a remedy writes it, and what that means. Before these, ``lr``, ``weight_decay`` and
``momentum`` stay: PyTorch's optimizers have them, too."""
_OTHER_NAMES = {
    "lr": ("learningrate", "lrate"),
    "weight_decay": ("wd",),
    "batch_size": ("batch", "bs"),
    "epochs": ("numepochs", "nepochs", "maxepochs"),
    "warmup_epochs": ("warmup",),
    "gradient_clip": ("gradclip", "clip", "clipnorm"),
}
"""What else users call a hyperparameter, without underscores."""


@dataclass(frozen=True)
class Vocabulary:
    """The names of what a reader can change; without any, all is said in plain words."""

    names: Collection[str] = ()

    def reworded(self, remedy: Remedy) -> Remedy:
        """Return the remedy by the reader's names where they match, and in plain words else.

        Of its change for programs, only what the reader can set stays.
        """
        known = self._known()
        text = remedy.text
        for hyperparameter, pattern, plain in _PLAIN:
            if hyperparameter not in known:
                text = re.sub(pattern, plain, text)
        for hyperparameter, name in known.items():
            text = re.sub(rf"(?<![\w.]){hyperparameter}(?!\w)", name, text)
        return Remedy(text, self._change(known, remedy.change))

    def _known(self) -> dict[str, str]:
        """Return by hyperparameter the reader's own name for it."""
        own = {_bare(name): name for name in self.names}
        found = {}
        for hyperparameter in {*_OTHER_NAMES, *(each for each, _, _ in _PLAIN), "momentum"}:
            called = (_bare(hyperparameter), *_OTHER_NAMES.get(hyperparameter, ()))
            name = next((own[each] for each in called if each in own), None)
            if name is not None:
                found[hyperparameter] = name
        return found

    def _change(self, known: Mapping[str, str], change: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.names or "code" in change:
            return change
        return {known[name]: value for name, value in change.items() if name in known}


def in_words(vocabulary: Vocabulary | None, findings: list[Finding]) -> list[Finding]:
    """Return the findings with their remedies reworded; None keeps those of the built-in training."""
    if vocabulary is None:
        return findings
    return [replace(each, remedy=vocabulary.reworded(each.remedy)) for each in findings]


def _bare(name: str) -> str:
    """Return a name without what people vary: case, separators, and the group that it is in."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower())
