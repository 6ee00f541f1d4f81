"""A study without a file: ``hpo run --trials 50 -- python train.py --lr~'log(1e-4, 1e-1)'``.

``--lr~EXPRESSION`` becomes the arguments ``--lr {lr}``, ``--lr=~EXPRESSION`` or ``lr=~EXPRESSION`` one
argument, and ``lr~EXPRESSION`` the value alone. An expression is a distribution of a study file. Braces
belong to the program, unless they enclose a name that the study knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from hpo.config.command import COMMAND_WORDS
from hpo.config.fields import as_written
from hpo.config.parsing.load import parse_study
from hpo.config.space import KINDS
from hpo.config.study import StudySpec
from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem, StudyFileError, UserError

EXAMPLE = "--lr~'log(1e-4, 1e-1)'"
_SEARCHED = re.compile(r"([-+]{0,2})([^\s=~]+)(=?)~(.*)", re.DOTALL)
_OPTION = re.compile(r"[A-Za-z_][\w.-]*")
"""Options of which a ``~`` behind them was certainly meant as a search."""
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*)\)\s*", re.DOTALL)
_DEFAULT = re.compile(r"\s*default(?:_value)?\s*=(.*)", re.DOTALL)
_PART = re.compile(r"""(?:'[^']*'|"(?:[^"\\]|\\.)*"|\[[^]]*\]|[^,'"\[]|['"\[])+""")
_SYNONYMS = {"loguniform": "log", "choices": "choice", "randint": "int"}
"""Names of the same distributions in other programs."""
_SCRIPTS = (".py", ".sh", ".r", ".jl", ".js", ".pl", ".rb", ".lua")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_BRACES = re.compile(r"(?<!\{)\{\{(?P<escaped>[\w.]+)\}\}(?!\})|\{(?P<named>[\w.]+)\}|[{}]")
_IN_FILES = re.compile(rf"\b({'|'.join(KINDS)}): \[([^]]*)\]")
"""A distribution as study files have it."""
_SET_NAME = re.compile(r"(?:fixed|space)\.(\w+)")


@dataclass(frozen=True)
class _Searched:
    """A parameter as it was written on the command line."""

    word: str
    name: str
    arguments: tuple[str, ...]
    """What stands in the command in its place."""
    distribution: str
    default: str | None


def command_study(
    words: Sequence[str], name: str | None, trials: int | None, changes: Sequence[str] = ()
) -> StudySpec:
    """Return the study of a command whose searched arguments are written as above.

    ``name`` None is derived from the program; ``changes`` are those of ``--set``. Raises ``UserError``, and
    ``StudyFileError`` with all mistakes.
    """
    if trials is None and not any(each.startswith("trials=") for each in changes):
        raise UserError(f"how many trials? Write hpo run --trials 50 -- {words[0]} ...")
    parts = [_part(word) for word in words]
    searched = [each for each in parts if isinstance(each, _Searched)]
    _refuse_twice(searched)
    set_names = [found[1] for each in changes if (found := _SET_NAME.match(each))]
    known = {*COMMAND_WORDS, *set_names, *(each.name for each in searched)}
    command = [
        each
        for part in parts
        for each in (part.arguments if isinstance(part, _Searched) else [_with_literal_braces(part, known)])
    ]
    study = study_name(words) if name is None else name
    document = {"study": study, "trials": trials or 1, "command": command, "space": {}}
    sources = {f"space.{each.name}={each.distribution}": each.word for each in searched}
    defaults = [each for each in searched if each.default is not None]
    if defaults:
        first = ", ".join(f"{each.name}: {each.default}" for each in defaults)
        sources[f"first=[{{{first}}}]"] = ", ".join(each.word for each in defaults)
    try:
        spec = parse_study(json.dumps(document), study, [*sources, *changes])
    except StudyFileError as error:
        # One that is wrong is not in the study, so that its place in the command has nothing to stand for.
        unknown = {f"unknown parameter {as_written('{' + each.name + '}')}" for each in searched}
        problems = [each for each in error.problems if each.message not in unknown]
        raise StudyFileError(error.source, [_as_given(each, sources) for each in problems]) from None
    if not spec.space:
        raise UserError(f"no argument is searched: write e.g. {EXAMPLE} in place of --lr 0.01")
    return spec


def study_name(words: Sequence[str]) -> str:
    """Return a name for the study of a command: that of its script or module, else of its program."""
    scripts = [each for each in words[1:] if Path(each).suffix.lower() in _SCRIPTS and each[0] != "-"]
    modules = [after for before, after in pairwise(words) if before == "-m"]
    found = Path(scripts[0]).stem if scripts else modules[0] if modules else Path(words[0]).stem
    return _NOT_IN_NAMES.sub("-", found).strip("-._")[:100] or "command"


def _part(word: str) -> str | _Searched:
    """Return an argument as it is, or the parameter that it searches."""
    found = _SEARCHED.fullmatch(word)
    if found is None:
        return word
    dashes, flag, equals, expression = found.groups()
    call = _CALL.fullmatch(expression)
    if call is None:
        if dashes and not equals and _OPTION.fullmatch(flag):
            raise UserError(f"{word}: {expression!r} is not a distribution; write e.g. {EXAMPLE}")
        return word  # such as --data=~/images
    if not _OPTION.fullmatch(flag) and _SYNONYMS.get(call[1], call[1]) not in KINDS:
        return word  # such as http://host/~user(x)
    name = re.sub(r"\W", "_", flag)
    place = f"{{{name}}}"
    option = f"{dashes}{flag}"
    arguments = (f"{option}={place}",) if equals else (option, place) if dashes else (place,)
    return _Searched(word, name, arguments, *_distribution(word, call[1], call[2]))


def _with_literal_braces(word: str, known: Container[str]) -> str:
    """Double the braces of an argument that do not enclose a known name: they belong to the program.

    ``{trial.x}`` stays, to be refused as unknown; ``{{lr}}`` stays, for the text ``{lr}``.
    """

    def written(found: re.Match[str]) -> str:
        name = found["escaped"] or found["named"]
        is_ours = name in known or (found["named"] or "").startswith("trial.")
        return found[0] if name and is_ours else found[0].replace("{", "{{").replace("}", "}}")

    return _BRACES.sub(written, word)


def _distribution(word: str, kind: str, arguments: str) -> tuple[str, str | None]:
    """Return a distribution as a study file has it, and its default."""
    parts = list(_split(arguments))
    defaults = [found[1].strip() for each in parts if (found := _DEFAULT.fullmatch(each))]
    values = [each for each in parts if not _DEFAULT.fullmatch(each)]
    kind = _SYNONYMS.get(kind, kind)
    if kind not in KINDS:
        hint = did_you_mean(kind, [*KINDS, *_SYNONYMS]) or f"known: {', '.join(KINDS)}"
        raise UserError(f"{word}: unknown distribution {kind!r} ({hint})")
    if len(defaults) > 1:
        raise UserError(f"{word}: more than one default")
    bounds = values[0].split() if len(values) == 1 and kind != "choice" else []
    if len(bounds) == 2:
        raise UserError(f"{word}: no comma between the bounds: write {kind}({', '.join(bounds)})")
    option = next((each for each in values if re.match(r"\s*\w+\s*=", each)), None)
    if option is not None:
        raise UserError(f"{word}: unknown option {option.strip()!r} (known: default=VALUE)")
    is_list = len(values) == 1 and values[0].strip().startswith("[")
    listed = values[0].strip() if is_list else f"[{', '.join(each.strip() for each in values)}]"
    return f"{{{kind}: {listed}}}", defaults[0] if defaults else None


def _split(arguments: str) -> Iterator[str]:
    """Yield the parts between commas, but not those in quotes and brackets."""
    return (found[0] for found in _PART.finditer(arguments) if found[0].strip())


def _refuse_twice(searched: Sequence[_Searched]) -> None:
    names = [each.name for each in searched]
    for name in names:
        if names.count(name) > 1:
            words = ", ".join(each.word for each in searched if each.name == name)
            raise UserError(f"{name} is searched more than once ({words}); elsewhere write {{{name}}}")


def _as_given(problem: Problem, sources: Mapping[str, str]) -> Problem:
    """Return a problem of an argument as it was written, with a hint in its syntax, not in that of a file."""
    words = {f"--set {override[:100]}": word for override, word in sources.items()}
    if problem.source not in words:
        return replace(problem, line=None)
    hint = _IN_FILES.sub(r"\1(\2)", problem.hint)
    return replace(problem, source=words[problem.source], line=None, hint=hint)
