"""The types of a statement's result on SQLite, which gives one to columns only.

Each call, CASE, CAST, literal and operator is replaced by a column of the type that PostgreSQL gives it. What
results is for looking at its columns; it is never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

TABLE = "CREATE TEMP TABLE hpo_type (i INTEGER, r DOUBLE, t TEXT, b BOOLEAN)"
"""Has a column of each type that a replaced expression may have."""
_INTEGER, _REAL, _TEXT, _BOOLEAN = (f"(SELECT {each} FROM hpo_type)" for each in "irtb")
_CALLS = {
    **dict.fromkeys(
        ("count", "row_number", "rank", "dense_rank", "ntile", "length", "instr", "unicode"), _INTEGER
    ),
    **dict.fromkeys(
        ("avg", "total", "percent_rank", "cume_dist", "sqrt", "exp", "ln", "log", "power", "round"), _REAL
    ),
    **dict.fromkeys(
        (
            "lower", "upper", "substr", "substring", "trim", "ltrim", "rtrim", "replace", "printf", "format",
            "group_concat", "string_agg", "quote", "hex", "date", "time", "datetime", "strftime", "typeof",
        ),
        _TEXT,
    ),
}  # fmt: skip
_OF_ARGUMENT = {
    "max", "min", "sum", "abs", "coalesce", "ifnull", "nullif", "lag", "lead", "first_value", "last_value",
    "nth_value",
}  # fmt: skip
_CASTS = (("BOOL", _BOOLEAN), ("INT", _INTEGER), ("CHAR", _TEXT), ("TEXT", _TEXT), ("", _REAL))
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|:[A-Za-z_]\w*|[^\W\d][\w$]*"""
    r"""|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|<=|>=|<>|!=|==|\|\||->>?|<<|>>|\s+|\S""",
    re.DOTALL,
)
_LOGICAL = {
    "=", "==", "<", ">", "<=", ">=", "<>", "!=", "and", "or", "not", "like", "glob", "in", "is", "isnull",
    "notnull", "between", "exists",
}  # fmt: skip
_ARITHMETIC = {"+", "-", "*", "/", "%"}
_STARTS = ("select", "with", "values")
Group: TypeAlias = "list[str | Group]"
"""Tokens between two parentheses, with the groups among them."""


def typed_sql(sql: str, params: Mapping[str, Any], names: Mapping[str, bool]) -> str:
    """Return the statement with typed columns; ``names`` says which columns are integers."""
    tokens = (token for token in _TOKEN.findall(sql) if not token.isspace() and token[:2] not in ("--", "/*"))
    return _text(_Rewriter(params, names).rewritten(_group(iter(tokens)))).rstrip("; ")


def _group(tokens: Iterator[str]) -> Group:
    found: Group = []
    for token in tokens:
        if token == ")":
            break
        found.append(_group(tokens) if token == "(" else token)
    return found


def _text(group: Group) -> str:
    return " ".join(each if isinstance(each, str) else f"({_text(each)})" for each in group)


class _Rewriter:
    def __init__(self, params: Mapping[str, Any], names: Mapping[str, bool]) -> None:
        self._params = params
        self._names = names

    def rewritten(self, group: Group) -> Group:
        """Rewrite a SELECT, or an expression in parentheses."""
        rest = list(group)
        if _word(rest[:1]) not in _STARTS:
            return self._expressions(rest)
        found: Group = []
        while rest:
            token = rest.pop(0)
            if _word([token]) == "select":
                end = next(
                    (i for i, each in enumerate(rest) if _word([each]) in ("from", "union")), len(rest)
                )
                found += [token, *self._expressions(rest[:end])]
                del rest[:end]
            else:
                found.append(self._without_parameters(token))
        return found

    def _without_parameters(self, token: str | Group) -> str | Group:
        """Rewrite what does not decide a column's type: only the SELECTs and parameters in it."""
        if isinstance(token, str):
            return _typed(self._params.get(token[1:])) if _is_parameter(token) else token
        if _word(token[:1]) in _STARTS:
            return self.rewritten(token)
        return [self._without_parameters(each) for each in token]

    def _expressions(self, tokens: Group) -> Group:
        found: Group = []
        for place, item in enumerate(_split(tokens)):
            found += [*([","] if place else []), *self._expression(self._simplified(item))]
        return found

    def _expression(self, tokens: Group) -> Group:
        """Replace an expression with operators by a column of its type, and keep its name."""
        head = tokens[:1] if _word(tokens[:1]) in ("distinct", "all") else []
        body = tokens[len(head) :]
        named = next((i for i, each in enumerate(body) if _word([each]) == "as"), len(body))
        body, name = body[:named], body[named:]
        if not name and len(body) > 1 and _is_operand(body[-1]) and _is_operand(body[-2]):
            body, name = body[:-1], body[-1:]
        kind = self._kind(body)
        return [*head, *([kind] if kind else body), *name]

    def _kind(self, body: Group) -> str | None:
        words = {_word([each]) for each in body}
        if words & _LOGICAL:
            return _BOOLEAN
        if words & {"||", "->", "->>"}:
            return _TEXT
        if words & _ARITHMETIC and body[-1] != "*":
            operands = [
                each
                for each, after in zip(body, [*body[1:], ""], strict=True)
                if _word([each]) not in _ARITHMETIC and "." not in (each, after)
            ]
            known = [self._is_integer(each) for each in operands]
            if None in known and False not in known:
                return None  # a name of the statement's own: SQLite knows its type, or the values decide
            return _INTEGER if all(known) else _REAL
        if len(body) == 1 and re.match(r"\.?\d", str(body[0])):
            return _INTEGER if str(body[0]).isdigit() else _REAL
        return None

    def _is_integer(self, operand: str | Group) -> bool | None:
        """Return whether an operand is an integer; None if nothing says so."""
        if not isinstance(operand, str):
            return self._is_integer(operand[-1]) if operand else None
        if operand.isdigit() or operand == _INTEGER:
            return True
        return self._names.get(operand) if operand[0].isalpha() else False

    def _simplified(self, tokens: Group) -> Group:
        """Replace calls, CASE, CAST, texts and parameters."""
        found: Group = []
        rest = list(tokens)
        while rest:
            token = rest.pop(0)
            if not isinstance(token, str):
                found.append(self.rewritten(token))
            elif _word([token]) == "case":
                found.append(self._expressions(_value_of_case(rest)))
            elif rest and _is_group(rest[0]) and self._is_call(_word([token])):
                found.append(self._result(_word([token]), rest.pop(0)))
                while len(rest) > 1 and _word(rest[:1]) in ("filter", "over"):
                    del rest[:2]
            elif token.startswith("'") and _word(found[-1:]) != "as":
                found.append(_TEXT)
            elif _is_parameter(token):
                found.append(_typed(self._params.get(token[1:])))
            else:
                found.append(token)
        return found

    def _is_call(self, word: str) -> bool:
        return word in _CALLS or word in _OF_ARGUMENT or word == "cast"

    def _result(self, function: str, arguments: Any) -> str | Group:
        if function == "cast":
            wanted = _text(arguments).rpartition(" AS " if " AS " in _text(arguments) else " as ")[2].upper()
            return next(kind for sign, kind in _CASTS if sign in wanted)
        return _CALLS.get(function) or self._expressions(_split(arguments)[0])


def _split(tokens: Group) -> list[Group]:
    items: list[Group] = [[]]
    for token in tokens:
        if token == ",":
            items.append([])
        else:
            items[-1].append(token)
    return items


def _value_of_case(rest: Group) -> Group:
    """Remove the tokens of a CASE after its first word; return the first value that is not NULL."""
    depth = 1
    branches: list[Group] = [[]]
    while rest:
        token = rest.pop(0)
        word = _word([token])
        depth += (word == "case") - (word == "end")
        if depth == 0:
            break
        if depth == 1 and word in ("when", "then", "else"):
            branches.append([word])
        else:
            branches[-1].append(token)
    values = [each[1:] for each in branches if _word(each[:1]) in ("then", "else")]
    return next((each for each in values if _word(each[:1]) != "null"), ["NULL"])


def _word(token: Group) -> str:
    return token[0].lower() if token and isinstance(token[0], str) else ""


def _is_group(token: str | Group) -> Any:
    return not isinstance(token, str)


def _is_parameter(token: str) -> bool:
    return re.fullmatch(r":[^\W\d]\w*", token) is not None


def _is_operand(token: str | Group) -> bool:
    return _is_group(token) or (bool(re.match(r"[\w\"'(]", str(token))) and _word([token]) not in _LOGICAL)


def _typed(value: Any) -> str:
    if value is None:
        return "NULL"
    return _TEXT if isinstance(value, str) else _REAL if isinstance(value, float) else _INTEGER
