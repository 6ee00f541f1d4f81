"""A commented first study file from three answers: which images, how long, what to search."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hpo.config.datasets import OF_SYMBOLS
from hpo.config.write import flow
from hpo.errors import UserError

_TRIALS, _EPOCHS = 20, 4
"""Used if time allows: random search needs many trials, and few epochs identify the bad ones."""
_LONGEST_EPOCHS = 10
_FEWEST_TRIALS, _MOST_TRIALS = 6, 1000
_FEWEST_IMAGES, _FEWEST_OF_CLASS = 2000, 20
_HELD_OUT = 0.1
"""The default of ``val_fraction``."""
_BATCH = 64
"""The default of ``batch_size``, which gives too few steps on few images."""


@dataclass(frozen=True)
class Images:
    """The images of a study; ``available`` counts the training split, part of which is held out."""

    dataset: str
    available: int
    classes: int
    root: str | None = None
    imbalanced: bool = False
    """Whether accuracy would hide the rare classes."""
    cost: float = 1.0
    """Of training on one of them, over one of CIFAR-10's size."""

    @property
    def trained(self) -> int:
        """Number of images per epoch if all are used."""
        return max(1, round(self.available * (1 - _HELD_OUT)))


@dataclass(frozen=True)
class Length:
    """The length of a study; ``train_images`` is None for all."""

    trials: int
    epochs: int = _EPOCHS
    train_images: int | None = None

    def work(self, images: Images) -> int:
        """Return the number of images to train on: trials x epochs x images per epoch."""
        return self.trials * self.epochs * (self.train_images or images.trained)


@dataclass(frozen=True)
class Search:
    """What is searched: a summary, and lines of a study file."""

    summary: str
    fixed: str
    space: str


SEARCHES: dict[str, Search] = {
    "lecture": Search(
        "the choices of CS231n lecture 6: activation, initializer, normalization, optimizer, learning rate",
        fixed="  schedule: cosine        # how lr changes over training",
        space="""\
  lr:           {log: [1.0e-4, 1.0]}   # log: 1e-4 to 1e-3 as often as 0.1 to 1
  weight_decay: {log: [1.0e-6, 1.0e-1]}
  activation:   {choice: [relu, leaky_relu, elu, tanh, sigmoid]}
  initializer:  {choice: [he, xavier, small_gaussian]}
  batch_norm:   {choice: [none, before, after]}
  optimizer:    {choice: [sgd, adam]}
  momentum:     {uniform: [0.8, 0.99], when: {optimizer: sgd}}   # adam has none""",
    ),
    "regularization": Search(
        "learning rate and regularization of one good network",
        fixed="""\
  activation: relu
  initializer: he
  batch_norm: before
  optimizer: sgd
  momentum: 0.9
  nesterov: true
  schedule: cosine        # how lr changes over training""",
        space="""\
  lr:              {log: [1.0e-3, 1.0]}   # log: 1e-3 to 1e-2 as often as 0.1 to 1
  weight_decay:    {log: [1.0e-6, 1.0e-2]}
  dropout:         {uniform: [0.0, 0.5]}
  label_smoothing: {uniform: [0.0, 0.2]}""",
    ),
}


def fitting_length(work: float, images: Images) -> Length:
    """Return the length that fits a budget of ``work`` images: whole epochs, then more epochs, then trials.

    The smallest useful study is returned even if it takes longer.
    """
    available = images.trained
    per_epoch = work / (_TRIALS * _EPOCHS)
    if per_epoch >= available:
        epochs = min(_LONGEST_EPOCHS, int(work // (_TRIALS * available)))
        return Length(min(_MOST_TRIALS, int(work // (epochs * available))), epochs)
    fewest = max(_FEWEST_IMAGES, _FEWEST_OF_CLASS * images.classes)
    if fewest >= available:
        return Length(max(_FEWEST_TRIALS, int(work // (_EPOCHS * available))))
    if per_epoch >= fewest:
        return Length(_TRIALS, _EPOCHS, int(per_epoch // 100) * 100)
    return Length(max(_FEWEST_TRIALS, int(work // (_EPOCHS * fewest))), _EPOCHS, fewest)


def parse_length(text: str) -> float | Length:
    """Parse minutes (``30``) or trials x epochs (``20x5``). Raises ``UserError``."""
    product = re.fullmatch(r"\s*(\d{1,6})\s*[x×*]\s*(\d{1,4})\s*", text)
    if product and int(product[1]) and int(product[2]):
        return Length(int(product[1]), int(product[2]))
    minutes = re.fullmatch(r"\s*(\d{1,6}(?:\.\d+)?)\s*(?:m|min|minutes?)?\s*", text)
    if minutes and float(minutes[1]):
        return float(minutes[1])
    raise UserError(
        f"{text!r} is not a valid length: give minutes, such as 30, or trials x epochs, such as 20x5"
    )


def name_from(stem: str) -> str:
    """Derive a study's name from a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:200] or "my-study"


def first_study(name: str, images: Images, length: Length, search: Search, takes: str) -> str:
    """Return the file's text; ``takes`` are lines about how long it will take."""
    lines = [
        "# yaml-language-server: $schema=./study.schema.json",
        "#",
        "# Written by `hpo init`; edit as you like. For editors: `hpo schema -o study.schema.json`.",
        "#",
        f"# What it searches: {search.summary}.",
        *(f"# {line}" for line in takes.splitlines()),
        "",
        _line(f"study: {flow(name)}", "its name in the database; running it again resumes it"),
        _line("seed: 0", "seed of all draws"),
        _line(f"trials: {length.trials}", "number of configurations to try"),
        _line("sampler: random", "or sobol, tpe, gp, cmaes (docs/search.md)"),
        _line("# pruner: asha", "stops trials early that are behind others"),
        *(
            [_line("objective: balanced_accuracy", "the mean recall of the classes")]
            if images.imbalanced
            else []
        ),
        "",
        "fixed:",
        *_data(images, length),
        "  model: convnet",
        _line("  width: 16", "channels of the first stage"),
        _line(f"  epochs: {length.epochs}", "passes over the training images"),
        f"  augmentation: {'crop' if images.dataset in OF_SYMBOLS else 'flip_crop'}",
        search.fixed,
        "",
        "space:",
        search.space,
        "",
        _line("checks: standard", "each training is checked; a hopeless one is stopped, with the reason"),
    ]
    return "\n".join(lines) + "\n"


def _data(images: Images, length: Length) -> list[str]:
    lines = [f"  dataset: {flow(images.dataset)}"]
    if images.root is not None:
        what = "one folder of images per class" if images.dataset == "folder" else "your images"
        lines.append(_line(f"  data_root: {flow(images.root)}", what))
    if length.train_images is not None:
        rest = f"of {images.trained:,}; remove the line for all"
        lines.append(_line(f"  train_images: {length.train_images}", rest))
    epoch = length.train_images or images.trained
    batch = min(_BATCH, max(4, epoch // 10), epoch)
    if batch < _BATCH:
        lines.append(_line(f"  batch_size: {batch}", f"small, as the training images are only {epoch}"))
    return lines


def _line(text: str, comment: str) -> str:
    return f"{text:<23} # {comment}"
