"""What a loop that hpo did not write shows of its data: the batches, their labels, and how it validates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Batches:
    """The batches of the first steps, compared by their exact values."""

    steps: int = 0
    distinct: int = 0
    """Number of different ones among them."""
    given: int = 0
    """Examples of ``before`` in the form of the batches."""
    unused: int = 0
    """Examples of ``before`` that are in none of them."""
    rows: int = 0
    """Different examples in them."""
    reseen: int = 0
    """Times that an example came again with a label."""
    relabeled: int = 0
    """Times that its label was another one than before."""
    repeated: float = math.nan
    """Share of the first epoch's examples that are equal to an earlier one: some data repeat."""
    alike: float = math.nan
    """What examples at the same place of consecutive batches, or of parts of one, have in common, in standard
    deviations above others."""
    within: float = math.nan
    """Variance of labels within a batch over that of all: 1 in shuffled batches."""
    trend: float = math.nan
    """Rank correlation of the batches' mean labels with their order, either way."""


@dataclass(frozen=True)
class Overlap:
    """Validation examples that are among the training examples."""

    examples: int = 0
    """Validation examples that were compared."""
    shared: int = 0
    """Those that are equal to a training example."""
    near: int = 0
    """Those that are almost equal to a training example, exact ones included."""
    repeated: float = math.nan
    """Share of training examples that are equal to another one: some data repeat."""


@dataclass(frozen=True)
class ValidationPasses:
    """The forward passes of one epoch after its last step, before its numbers are reported."""

    epoch: int
    passes: int
    in_training_mode: int
    """With dropout or normalization that training mode changes."""
    with_gradients: int
    """Whose gradients were recorded and never used."""


@dataclass(frozen=True)
class LayerInput:
    """What a layer with weights gets in the first forward pass, by feature or channel."""

    layer: str
    is_first: bool
    """Whether no layer with weights or embedding comes before it."""
    is_raw: bool
    """Whether these are the values that the model was given."""
    is_normalized: bool
    """Whether the layer after it normalizes."""
    rms: float
    """Of the largest feature."""
    std: float
    """Of the feature that varies most."""
    offset: float
    """Smallest |mean| over standard deviation of a feature."""


@dataclass(frozen=True)
class HiddenInput:
    """What a later layer with weights gets in the first forward pass."""

    layer: str
    constant: float
    """Share of its features that are the same for all examples and places."""
    saturated: float
    """Share of its values at the flat ends of tanh or sigmoid, if all are between them; else 0."""
    rms: float
    """Of the largest feature."""


@dataclass(frozen=True)
class Answers:
    """Where the answer of an example can be read off its input."""

    column: int = -1
    """Place in the flattened input that determines the label; -1 without one."""
    others: float = math.nan
    """Dependence of labels on all other places, in standard deviations."""
    same_place: float = math.nan
    """Share of tokens to be predicted that are given at the same place."""
    next_place: float = math.nan
    """Share of tokens to be predicted that are given one place later."""
    is_reshaped: bool = False
    """Whether the loss normalizes over places that a wrong reshape calls classes."""
    looks_ahead: float = math.nan
    """Largest change of earlier outputs by later tokens, over the spread of outputs."""
    looks_at_place: float = math.nan
    """Largest change of an output by the token at its place; 0 if the model itself shifts the tokens."""


@dataclass(frozen=True)
class Dependence:
    """How clearly labels depend on something, in standard deviations above independence; NaN if unknown."""

    inputs: float = math.nan
    examples: int = 0
    val_inputs: float = math.nan
    val_examples: int = 0
    first_outputs: float = math.nan
    """Of labels on outputs for batches of the first steps, before the network was trained on them."""
    first_examples: int = 0
    last_outputs: float = math.nan
    """Of the latest steps."""
    last_examples: int = 0
    largest: float = math.nan
    """Share of the most frequent label, where there is one per example and few different ones."""
    constant_loss: float = math.nan
    """Cross-entropy or squared error of the best constant answer, for labels of the loss's kind."""
    spread: float = math.nan
    """Median over batches of the outputs' deviation between examples, over their size."""
    recalls: tuple[float, ...] = ()
    """Of each class in the latest batches; NaN for a class without examples."""
    counts: tuple[int, ...] = ()
    """Examples of each class in them."""
    several: float = math.nan
    """Share of examples with none or several of the labels 0 and 1; NaN if labels are others."""
    moved: float = math.nan
    """Median over weights of the whole training's change, over their first norm."""


@dataclass
class DataFacts:
    """Everything that is known of the data; measured in loops of other programs only."""

    batches: Batches = Batches()
    overlap: Overlap = Overlap()
    validations: list[ValidationPasses] = field(default_factory=list)
    inputs: list[LayerInput] = field(default_factory=list)
    hidden: list[HiddenInput] = field(default_factory=list)
    answers: Answers = Answers()
    dependence: Dependence = Dependence()
    agreements: tuple[float, ...] = ()
    """Correlations of pictures with targets of their size after each of ``measure.geometry.TURNS``."""
