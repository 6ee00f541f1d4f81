"""Contradictions between the parts of a study file, such as a `when` that never holds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hpo.config.datasets import OF_FILES
from hpo.config.fields import HYPERPARAMETERS, FieldType, as_written, yaml_text
from hpo.config.methods import Pruner, options_of
from hpo.config.objective import BUILT_IN, METRIC_PATTERN, SHORT_NAMES, Direction, natural_direction
from hpo.config.parsing.space import distribution_text
from hpo.config.parsing.yaml_tree import Place
from hpo.config.space import Choice, Distribution, Integer, Scalar
from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem
from hpo.text import counted

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A rule about several fields: ``broken`` returns whether the values of ``fields`` violate it."""

    fields: tuple[str, ...]
    broken: Callable[[Values], bool]
    message: Callable[[Values], str]


MODEL_DEPTHS: dict[str, tuple[Callable[[int], bool], str]] = {
    "convnet": (lambda d: d <= 20, "use 1 to 20 convolutions"),
    "vgg": (lambda d: d in (6, 8, 11, 13), "use 6, 8, 11 or 13"),
    "resnet": (lambda d: d >= 8 and (d - 2) % 6 == 0, "use 6n + 2: 8, 14, 20, 26, 32 ..."),
    "fitnet": (lambda d: d == 17, "FitNet-4 has 17 layers: leave depth out"),
    "airbench": (lambda d: d in (7, 10), "use 7 or 10 convolutions"),
    "airbench94": (lambda d: d in (7, 10), "use 7 or 10 convolutions"),
    "mlp": (lambda d: d <= 50, "use 1 to 50 hidden layers"),
}
"""The bundled models: whether each can have a depth, and the message if it cannot."""

RULES: tuple[Rule, ...] = (
    Rule(
        ("warmup_epochs", "epochs"),
        lambda v: bool(v["warmup_epochs"] > v["epochs"]),
        lambda v: (
            f"a warm-up of {counted(v['warmup_epochs'], 'epoch')} is longer than the training "
            f"({counted(v['epochs'], 'epoch')})"
        ),
    ),
    Rule(
        ("schedule", "warmup_epochs"),
        lambda v: bool(v["schedule"] == "triangular" and v["warmup_epochs"]),
        lambda v: "schedule: triangular rises by itself (peak_position): leave warmup_epochs out",
    ),
    Rule(
        ("nesterov", "optimizer", "momentum"),
        lambda v: bool(v["nesterov"] and v["optimizer"] == "sgd" and v["momentum"] == 0),
        lambda v: "nesterov needs momentum above 0",
    ),
    Rule(
        ("dataset", "data_root"),
        lambda v: v["dataset"] in OF_FILES and not v["data_root"],
        lambda v: f"dataset: {v['dataset']} needs data_root, {OF_FILES[v['dataset']]}",
    ),
    Rule(
        ("schedule", "lr_decay"),
        lambda v: v["schedule"] in ("step", "exponential") and v["lr_decay"] > 1,
        lambda v: f"lr_decay {v['lr_decay']:g} would raise lr under schedule: {v['schedule']}; use 1 or less",
    ),
    Rule(
        ("batch_size", "train_images"),
        lambda v: v["train_images"] is not None and v["batch_size"] > v["train_images"],
        lambda v: f"batch_size {v['batch_size']} is larger than train_images {v['train_images']}",
    ),
    Rule(
        ("batch_size", "batch_norm", "norm"),
        lambda v: v["batch_size"] == 1 and v["batch_norm"] != "none" and v["norm"] == "batch",
        lambda v: "batch normalization needs batch_size of 2 or more",
    ),
    Rule(
        ("preprocessing", "pca_components", "train_images"),
        lambda v: (
            v["preprocessing"] in ("pca", "whiten")
            and v["train_images"] is not None
            and v["pca_components"] > v["train_images"]
        ),
        lambda v: f"pca_components {v['pca_components']} is more than {v['train_images']} train_images allow",
    ),
    Rule(
        ("model", "stem"),
        lambda v: v["model"] == "mlp" and v["stem"] != "plain",
        lambda v: f"model mlp has no convolutions, so no stem: {v['stem']}",
    ),
    Rule(
        ("model", "depth"),
        lambda v: (
            v["depth"] is not None
            and v["model"] in MODEL_DEPTHS
            and not MODEL_DEPTHS[v["model"]][0](v["depth"])
        ),
        lambda v: f"model {v['model']} has no depth {v['depth']}; {MODEL_DEPTHS[v['model']][1]}",
    ),
)


def broken_rules(values: Values) -> list[str]:
    """The message of each rule that a complete set of values breaks."""
    return [rule.message(values) for rule in RULES if rule.broken(values)]


MAX_COMBINATIONS = 100_000  # per rule; typical studies have hundreds
MAX_GRID = 100_000


@dataclass
class Draft:
    """A study being parsed: what is known so far, and the place of each hyperparameter."""

    known: Mapping[str, FieldType] = field(default_factory=lambda: HYPERPARAMETERS)
    """Every hyperparameter that the study may name."""
    fixed: dict[str, Scalar] = field(default_factory=dict)
    space: dict[str, Distribution] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    """Hyperparameters with mistakes; no conclusions are drawn from them."""

    def place(self, name: str) -> Place:
        """Return the place of a hyperparameter."""
        return self.places.get(name, Place())

    @property
    def is_own(self) -> bool:
        """Whether its hyperparameters are names of the user's own training."""
        return self.known is not HYPERPARAMETERS

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that its values must keep: those of the built-in training."""
        return () if self.is_own else RULES

    def constant(self, name: str) -> Scalar:
        """Return the value of a hyperparameter that is not searched; ``None`` if it is unknown."""
        default: Scalar = self.known[name].default if name in self.known else None
        return self.fixed.get(name, default)

    def can_be(self, name: str, value: Scalar) -> bool:
        """Return whether a hyperparameter can take a value in this study."""
        if name in self.unreadable:
            return True
        if name in self.space:
            return self.space[name].can_be(value)
        return self.constant(name) == value


def drop_overridden(draft: Draft) -> None:
    """Remove from the space what an override made irrelevant: momentum, after ``--set optimizer=adam``."""
    overridden = {name for name, place in draft.places.items() if place.source}
    while dropped := [
        name
        for name in draft.space
        if any(parent in overridden for parent, _ in _impossible_conditions(draft, name))
    ]:
        for name in dropped:
            del draft.space[name]
        overridden.update(dropped)


def when_problems(draft: Draft) -> list[Problem]:
    """Report conditions (``when``) that are circular or can never hold."""
    problems = []
    for name in draft.space:
        circle = _circle(draft.space, name)
        if circle:
            if name == min(circle):
                text = " → ".join([*circle, circle[0]])
                problems.append(draft.place(name).problem(name, f"when is circular: {text}"))
            continue
        for parent, wanted in _impossible_conditions(draft, name):
            message = f"is never drawn: {parent} is never {' or '.join(map(yaml_text, wanted))} in this study"
            problems.append(draft.place(name).problem(name, message, _origin_text(draft, parent)))
    return problems


def _impossible_conditions(draft: Draft, name: str) -> Iterator[tuple[str, list[Scalar]]]:
    for parent, wanted in draft.space[name].when.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if not any(draft.can_be(parent, value) for value in values):
            yield parent, values


def _origin_text(draft: Draft, name: str) -> str:
    if name in draft.space:
        return f"{name} is drawn from {distribution_text(draft.space[name])}"
    how = "fixed at" if name in draft.fixed else "not set, so it is"
    return f"{name} is {how} {yaml_text(draft.constant(name))}"


def _circle(space: dict[str, Distribution], name: str) -> list[str]:
    """Return the names on a circle of ``when`` through ``name`` in order; empty if there is none."""
    paths = [[name]]
    seen = {name}
    while paths:
        path = paths.pop()
        for parent in space[path[-1]].when:
            if parent == name:
                return path
            if parent in space and parent not in seen:
                seen.add(parent)
                paths.append([*path, parent])
    return []


def contradictions(draft: Draft) -> list[Problem]:
    """Report rules that some configuration of the study breaks, each once, with values that break it."""
    problems = []
    for rule in draft.rules:
        if draft.unreadable.intersection(rule.fields):
            continue
        broken = next((values for values in _combinations(draft, rule) if rule.broken(values)), None)
        if broken is not None:
            name = _culprit(draft, rule)
            problems.append(
                draft.place(name).problem(name, rule.message(broken), _drawn_text(draft, rule, broken))
            )
    return problems


def _combinations(draft: Draft, rule: Rule) -> Iterator[dict[str, Any]]:
    """Yield values that a rule's fields can have together: bounds of searched ones, as ``when`` allows."""
    names = _with_parents(draft, rule.fields)
    candidates = [
        draft.space[name].extremes() + ([_ABSENT] if draft.space[name].when else [])
        if name in draft.space
        else [draft.constant(name)]
        for name in names
    ]
    for combination in itertools.islice(itertools.product(*candidates), MAX_COMBINATIONS):
        drawn = {name: value for name, value in zip(names, combination, strict=True) if value is not _ABSENT}
        if all((name in drawn) == draft.space[name].active(drawn) for name in names if name in draft.space):
            yield {name: drawn.get(name, HYPERPARAMETERS[name].default) for name in names}


_ABSENT = object()


def _with_parents(draft: Draft, names: tuple[str, ...]) -> list[str]:
    found = list(names)
    for name in found:  # grows during the iteration
        if name in draft.space:
            found.extend(parent for parent in draft.space[name].when if parent not in found)
    return found


def _culprit(draft: Draft, rule: Rule) -> str:
    """Return the field to report: one set on the command line, else the last one in the file."""
    given = [name for name in rule.fields if name in draft.places]
    order = {name: (bool(place.source), place.line or 0) for name, place in draft.places.items()}
    return max(given or rule.fields, key=lambda name: order.get(name, (False, 0)))


def _drawn_text(draft: Draft, rule: Rule, values: dict[str, Any]) -> str:
    drawn = [f"{name} {as_written(yaml_text(values[name]))}" for name in rule.fields if name in draft.space]
    return f"the study may draw {' with '.join(drawn)}" if drawn else ""


def grid_problems(draft: Draft) -> list[Problem]:
    """Report distributions that a grid cannot enumerate, and grids that are too large."""
    problems = []
    points = 1
    for name, distribution in draft.space.items():
        if isinstance(distribution, Choice):
            points *= len(distribution.choice)
        elif isinstance(distribution, Integer):
            points *= distribution.int_[1] - distribution.int_[0] + 1
        else:
            message = f"sampler: grid cannot enumerate {distribution_text(distribution)}"
            problems.append(draft.place(name).problem(name, message, "use choice or int, or sampler: random"))
    if points > MAX_GRID and not problems:
        size = counted(points, "point") if math.log10(points) < 12 else "more than 1e12 points"
        last = next(reversed(draft.space))
        message = f"the grid has {size}, more than {MAX_GRID:,}"
        problems.append(draft.place(last).problem("space", message, "use sampler: random"))
    return problems


def cmaes_problems(draft: Draft) -> list[Problem]:
    """Report a space without a number that every trial draws: CMA-ES has no dimension."""
    numbers = [
        each
        for each in draft.space.values()
        if not isinstance(each, Choice) and not draft.space.keys() & each.when.keys()
    ]
    if numbers or draft.unreadable:
        return []
    message = "sampler: cmaes needs a number that every trial draws: log, uniform or int"
    return [Problem(message, "space", hint="use sampler: tpe for choices")]


@dataclass(frozen=True)
class PrunerGiven:
    """The value of a key ``pruner``, a name or a name with options, and its place."""

    given: Any
    place: Place


def pruner_problems(pruner: PrunerGiven, draft: Draft) -> list[Problem]:
    """Report a pruner whose first comparison comes after the last epoch."""
    options: dict[str, Any] = {}
    name = pruner.given
    if isinstance(name, dict):
        name, options = next(iter(name.items()), ("", options))
    longest: Any = (
        max(draft.space["epochs"].extremes()) if "epochs" in draft.space else draft.constant("epochs")
    )
    if name not in Pruner.model_fields or "epochs" in draft.unreadable or longest is None:
        return []
    fields = options_of(Pruner)[name]
    for option, later in _FIRST_COMPARISON.items():
        if option not in fields:
            continue
        value = options.get(option, fields[option].default)
        if value + later >= longest:
            message = (
                f"{name} would never stop a trial: {option} is {value}, and trials have "
                f"{counted(longest, 'epoch')}"
            )
            return [pruner.place.problem("pruner", message, f"lower {option} or raise epochs")]
    return []


_FIRST_COMPARISON = {"min_epochs": 0, "warmup_epochs": 1}
"""Pruner options in epochs, and how many epochs later the first comparison is."""


@dataclass(frozen=True)
class ObjectiveGiven:
    """The values of the keys ``objective`` and ``direction``, and their places."""

    metric: str
    direction: Direction | None
    metric_place: Place
    direction_place: Place


def objective_problems(given: ObjectiveGiven, *, built_in: bool) -> list[Problem]:
    """Report a metric that the training does not report, and a missing or an impossible direction."""
    if built_in:
        given = replace(given, metric=SHORT_NAMES.get(given.metric, given.metric))
    if built_in and given.metric not in BUILT_IN and ":" not in given.metric:
        message = f"{as_written(repr(given.metric))} is not a valid objective"
        hint = did_you_mean(given.metric, (*SHORT_NAMES, *BUILT_IN)) or (
            f"{', '.join(SHORT_NAMES)}, or your own as package.module:function"
        )
        return [given.metric_place.problem("objective", message, hint)]
    if not METRIC_PATTERN.fullmatch(given.metric) or (":" in given.metric and not built_in):
        message = f"{as_written(repr(given.metric))} is not a valid name of a metric"
        hint = "letters, digits, '_', '.', '/', '@' and '-', at most 100, starting with a letter or '_'"
        return [given.metric_place.problem("objective", message, hint)]
    natural = natural_direction(given.metric)
    if given.direction is None and natural is None:
        message = f"is missing, and the name {given.metric} does not tell it"
        hint = "direction: maximize if higher is better, direction: minimize if lower is"
        return [given.metric_place.problem("direction", message, hint)]
    if given.metric in BUILT_IN and given.direction not in (None, natural):
        message = f"{given.direction} would look for the worst {given.metric}"
        return [given.direction_place.problem("direction", message, f"leave it out, or use {natural}")]
    return []
