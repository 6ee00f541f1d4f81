"""Read `trainer`, `command` and `limits` of a study file, and check them against its parameters."""

from __future__ import annotations

import shlex
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from hpo.config.command import COMMAND_WORDS, is_parameter_name, parameter_variable
from hpo.config.fields import FieldType, Limits, WrongValue, as_written, field_type
from hpo.config.own_training import SMALLEST_MEMORY, TRAINER_PATTERN, TrialLimits, memory_bytes, memory_text
from hpo.config.parsing.consistency import Draft
from hpo.config.parsing.names import OWN_KEYS
from hpo.config.parsing.sections import read_options
from hpo.config.parsing.yaml_tree import MappingNode, Node, Place, ScalarNode, SequenceNode
from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem

_TRAINER_EXAMPLE = "e.g. trainer: my_package.train:run for the function run of my_package/train.py"
_COMMAND_EXAMPLE = 'e.g. command: [python, train.py, --lr, "{lr}"]'
_LIMITS_EXAMPLE = "e.g. limits: {minutes: 20, memory: 4GB}"


def require_valid_trainer(path: str) -> None:
    """Raise ``WrongValue`` if a value of ``trainer`` does not have the form of a function's path."""
    if TRAINER_PATTERN.fullmatch(path):
        return
    file, colon, function = path.partition(":")
    hint = _TRAINER_EXAMPLE
    if file.endswith(".py"):
        hint = f"write {file.removesuffix('.py').strip('./').replace('/', '.')}:{function or 'run'}"
    elif not colon and "." in path:
        hint = f"write {':'.join(path.rsplit('.', 1))}"
    raise WrongValue(f"{as_written(repr(path))} does not have the form package.module:function", hint)


def read_command(node: Node | None, problems: list[Problem]) -> tuple[str, ...] | None:
    """Read the program and its arguments; ``None`` if there is no command, or a wrong one."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return None
    if not isinstance(node, SequenceNode) or not node.items:
        hint = _as_list(node.text) if isinstance(node, ScalarNode) else _COMMAND_EXAMPLE
        problems.append(node.place.problem("command", "is not a list of a program and its arguments", hint))
        return None
    wrong = [each for each in node.items if not isinstance(each, ScalarNode) or each.value is None]
    problems += [each.place.problem("command", _not_an_argument(each), _COMMAND_EXAMPLE) for each in wrong]
    words = tuple(each.text for each in node.items if isinstance(each, ScalarNode))
    if not wrong and not words[0].strip():
        problems.append(node.place.problem("command", "has no program", _COMMAND_EXAMPLE))
    return None if wrong else words


def _not_an_argument(node: Node) -> str:
    if isinstance(node, MappingNode):
        names = ", ".join(node.entries)
        return f'{{{names}}} without quotes is a mapping: write "{{{names}}}"'
    kind = "a list" if isinstance(node, SequenceNode) else "an empty value"
    return f"{kind} is not an argument"


def _as_list(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:
        return _COMMAND_EXAMPLE
    quoted = (f'"{word}"' if set(word) & set("{}[],:#&*!|>'%@`") else word for word in words)
    return f"write command: [{', '.join(quoted)}]"


def read_limits(node: Node | None, problems: list[Problem]) -> TrialLimits:
    """Read the limits of a trial; those that are wrong are left out."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return TrialLimits()
    if not isinstance(node, MappingNode):
        problems.append(node.place.problem("limits", "is not a mapping", _LIMITS_EXAMPLE))
        return TrialLimits()
    all_of = f"it has {', '.join(LIMIT_KEYS)}"
    given = read_options("limits", "unknown limit", LIMIT_KEYS, all_of, node, problems)
    if given.get("memory") is not None:
        try:
            given["memory"] = _memory(given["memory"])
        except WrongValue as mistake:
            place = node.entries["memory"].place
            problems.append(place.problem("memory", mistake.message, mistake.hint))
            del given["memory"]
    return TrialLimits(**given)


def _memory(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise WrongValue(f"{as_written(given)} is not a size of memory", "e.g. 4GB or 512MiB")
    try:
        size = memory_bytes(given) if isinstance(given, str) else round(given)
    except ValueError as error:
        raise WrongValue(str(error)) from None
    if size < SMALLEST_MEMORY:
        hint = f"did you mean {given}GB?" if not isinstance(given, str) and given > 0 else ""
        raise WrongValue(
            f"{memory_text(size) if size > 0 else as_written(given)} is below {memory_text(SMALLEST_MEMORY)}",
            hint,
        )
    return size


def _limit_keys() -> dict[str, FieldType]:
    minutes, memory = (field_type(TrialLimits, name) for name in ("minutes", "memory"))
    assert minutes is not None and memory is not None, "every limit is a single value"
    return {"minutes": minutes, "memory": replace(memory, kind="any", limits=Limits())}


LIMIT_KEYS: dict[str, FieldType] = _limit_keys()
"""The keys of ``limits:``."""


def own_training_problems(tree: MappingNode, given: Mapping[str, Any], draft: Draft) -> list[Problem]:
    """Report keys that exclude each other, and a command that does not fit the study's parameters."""
    if not draft.is_own:
        return _without_training(tree)
    problems = _interface_problems(tree, given)
    if given.get("trainer") is not None and tree.entries.get("command") is not None:
        first, second = OWN_KEYS
        message = f"{second} cannot be combined with {first}"
        problems.append(tree.keys[second].problem("", message, "a study has one training: keep one of them"))
    elif given.get("command") is not None:
        problems += _command_problems(given["command"], draft, tree.entries["command"].place)
    return problems + _unreported(tree, given)


def _unreported(tree: MappingNode, given: Mapping[str, Any]) -> list[Problem]:
    """Report an objective that no training can report."""
    metric = given.get("objective")
    if metric == "epoch":
        message, hint = "epoch is the number of a report's epoch, not a metric", "name a metric"
    elif given.get("command") is None or metric is None or is_parameter_name(metric):
        return []
    else:
        message = f"a command cannot report {as_written(repr(metric))}"
        hint = "letters, digits and '_', as a name in Python"
    return [tree.keys["objective"].problem("objective", message, hint)]


def _without_training(tree: MappingNode) -> list[Problem]:
    without = {
        "limits": "is for a training of your own: the built-in training has no limits",
        "interface": "is for a training of your own: the built-in training is given no trial",
    }
    hint = "add trainer: or command:, or leave it out"
    return [
        tree.keys[name].problem(name, message, hint)
        for name, message in without.items()
        if name in tree.entries
    ]


_DRAWS = ("random", "sobol", "tpe", "gp")
"""Samplers for a space that is not known before a trial draws."""
_CANNOT_DRAW = {
    "grid": "must know all choices before a trial starts",
    "cmaes": "must know all ranges before a trial starts, for its normal distribution",
}


def _interface_problems(tree: MappingNode, given: Mapping[str, Any]) -> list[Problem]:
    """Report what does not go together with a training that draws its own parameters."""
    if given.get("interface") != "optuna":
        return []
    problems = []
    if given.get("trainer") is None:
        message = "optuna is for a trainer:, which is given an optuna.Trial"
        problems.append(tree.keys["interface"].problem("interface", message, "leave it out"))
    for name in ("space", "stages", "first"):
        node = tree.entries.get(name)
        if not (node is None or (isinstance(node, MappingNode | SequenceNode) and not _size(node))):
            message = "cannot be combined with interface: optuna, where the objective draws its parameters"
            problems.append(tree.keys[name].problem("", f"{name} {message}", "leave it out"))
    if _promotes(given.get("pruner")):
        message = "promote resumes paused trials, and an objective with interface: optuna saves nothing"
        hint = "leave promote out, or take an hpo.Trial with trial.keep"
        problems.append(tree.keys["pruner"].problem("pruner", message, hint))
    sampler = given.get("sampler", "random")
    name = sampler if isinstance(sampler, str) else next(iter(sampler), "")
    if name not in _DRAWS:
        message = f"{name} {_CANNOT_DRAW.get(name, 'must know the space before a trial starts')}"
        these = ", ".join(_DRAWS)
        hint = f"with interface: optuna use {these}; or take an hpo.Trial, with its parameters under space:"
        problems.append(tree.keys["sampler"].problem("sampler", message, hint))
    return problems


def _promotes(pruner: Any) -> bool:
    options = next(iter(pruner.values()), None) if isinstance(pruner, Mapping) else None
    return bool((options or {}).get("promote"))


def _size(node: MappingNode | SequenceNode) -> int:
    return len(node.entries if isinstance(node, MappingNode) else node.items)


def _command_problems(command: tuple[str, ...], draft: Draft, place: Place) -> Iterator[Problem]:
    upper = Counter(name.upper() for name in draft.places)
    for name in draft.places:
        if upper[name.upper()] > 1:
            message = f"${parameter_variable(name)} would stand for more than one parameter"
            yield draft.place(name).problem(name, message, "names must differ in more than case")
    if "{" in command[0]:
        message = f"the program {as_written(repr(command[0]))} has braces, and must be the same in each trial"
        yield place.problem("command", message, 'give the parameter to a script, e.g. [sh, run.sh, "{kind}"]')
        return
    for word in command:
        yield from _word_problems(word, draft, place)


def _word_problems(word: str, draft: Draft, place: Place) -> Iterator[Problem]:
    try:
        names = placeholders(word)
    except ValueError as error:
        hint = "{{ and }} stand for braces"
        yield place.problem("command", f"{as_written(repr(word))} is not readable: {error}", hint)
        return
    known = [*draft.places, *COMMAND_WORDS]
    for name in names:
        if name not in known:
            meant = f"trial.{name}" in COMMAND_WORDS and f"did you mean trial.{name}?"
            every = f"known: {', '.join(known)}; {{{{ and }}}} stand for braces"
            hint = meant or did_you_mean(name, known) or every
            yield place.problem("command", f"unknown parameter {as_written('{' + name + '}')}", hint)
        elif name in draft.space and draft.space[name].when:
            hint = f"read it from ${parameter_variable(name)} or from the file {{trial.parameters}}"
            yield place.problem("command", f"{{{name}}} has no value in trials that do not draw it", hint)


def placeholders(word: str) -> list[str]:
    """Return the names in braces of an argument. Raises ``ValueError`` for other uses of braces."""
    names = []
    for _, name, specification, conversion in string.Formatter().parse(word):
        if name is None:
            continue
        if not name:
            raise ValueError("empty braces")
        if specification or conversion:
            raise ValueError(f"{{{name}}} has a format, which is not supported")
        names.append(name)
    return names
