"""The parts of sql.md that follow from the code: the tables' diagram, and the list of saved queries."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, LargeBinary, Table
from sqlalchemy.dialects import sqlite

from hpo.queries.saved_queries import NAMES, saved_query
from hpo.storage.tables import Base

_NOTES = {
    "hpo_slot.state": "waiting, running, paused, done",
    "hpo_slot.token": "raised by each claim",
    "hpo_slot.lease_until": "seconds since 1970, database clock",
    "hpo_trial.outcome": "complete, pruned, failed; NULL while running",
    "hpo_trial.configuration": "every hyperparameter; null where it has no effect",
    "hpo_statistics.state": "what preprocessing learned, safetensors",
    "hpo_attempt.outcome": "complete, pruned, failed, released, lost, hung, paused",
    "hpo_rung.decision": "goes_on, stopped, paused",
    "hpo_rung.score": "of the best epoch so far, higher is better",
    "hpo_rung.compared": "trials that had come there",
    "hpo_worker.seen_at": "last sign outside trials, seconds since 1970, database clock",
    "hpo_finding.severity": "pass, note, warn, fatal",
}
_TYPES = {"INTEGER": "int", "BIGINT": "bigint", "DOUBLE": "double", "DATETIME": "timestamp", "JSON": "json"}


def diagram() -> str:
    """Our tables with every column, and how they hang together, as a mermaid diagram."""
    tables = [table for table in Base.metadata.sorted_tables if table.name.startswith("hpo_")]
    lines = ["```mermaid", "erDiagram"]
    lines += sorted(_link(table, key) for table in tables for key in table.foreign_key_constraints)
    for table in tables:
        lines += [
            "",
            f"    {table.name} {{",
            *(f"        {_entry(table, each)}" for each in table.c),
            "    }",
        ]
    return "\n".join([*lines, "```"])


def questions() -> str:
    """Return a table of the saved queries."""
    lines = ["| name | question | parameters |", "|---|---|---|"]
    for ready in map(saved_query, NAMES):
        given = ", ".join(f"`{each}`" for each in ready.parameters)
        lines.append(f"| [{ready.name}](../hpo/queries/saved/{ready.name}.sql) | {ready.title} | {given} |")
    return "\n".join(lines)


def _link(table: Table, key: ForeignKeyConstraint) -> str:
    columns = list(key.columns)
    alone = columns == list(table.primary_key) or (len(columns) == 1 and bool(columns[0].unique))
    parent = key.elements[0].column.table.name
    return f'    {parent} ||--{"o|" if alone else "o{"} {table.name} : "{", ".join(key.column_keys)}"'


def _entry(table: Table, column: Column[object]) -> str:
    kind = "bytes" if isinstance(column.type, LargeBinary) else _kind(column)
    keys = [key for key, given in (("PK", column.primary_key), ("FK", bool(column.foreign_keys))) if given]
    note = _NOTES.get(f"{table.name}.{column.name}")
    words = [kind, column.name, ", ".join(keys), f'"{note}"' if note else ""]
    return " ".join(word for word in words if word)


def _kind(column: Column[object]) -> str:
    name = column.type.compile(dialect=sqlite.dialect()).partition("(")[0].partition(" ")[0]  # type: ignore[no-untyped-call]
    return _TYPES.get(name, "text")
